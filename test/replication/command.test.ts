/** `meshstore replicate` and `meshstore restore` of a place, in processes of their own. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { Follower } from '../../src/replication/follow.ts'
import { placeOf } from '../../src/replication/open-place.ts'
import { MAIN, runCommand } from '../cli/support/command.ts'
import { lastingBackends, sqliteFile } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes } from '../support/samples.ts'
import { contentOf, emptyOn } from './support/replicas.ts'

for (const backend of lastingBackends) {
  test(`a replica of ${backend.name} is made, verified, listed and restored by the command`, async () => {
    using folder = temporaryFolder()
    const to = folder.file('replica')
    await using opened = await backend.open()
    await opened.store.nodes.saveMany(manyNodes(50))
    const made = await runCommand(['replicate', '--url', opened.url, '--to', to, '--once'])
    expect(made).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(`${to} has everything up to `) })
    const verified = await runCommand(['replicate', '--to', to, '--verify', '--json'])
    expect(verified).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(verified.stdout)).toMatchObject({ bases: 1, segments: 0, problems: [] })
    const listed = await runCommand(['restore', '--from', to, '--list'])
    expect(listed).toMatchObject({ code: 0, stderr: '', stdout: expect.stringMatching(/^Generation 1: from 20/) })
    const restored = folder.file('restored.db')
    const done = await runCommand(['restore', '--from', to, '--to', restored])
    expect(done).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Restored ') })
    await using store = await openStorage(restored)
    expect(await contentOf(store)).toEqual(await contentOf(opened.store))
  })
}

test('a moment after the last segment is said to be none', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open({ replicate: { to, everySeconds: 3_600 } })
  await opened.store.flushReplica()
  const restoring = ['restore', '--from', to, '--at', '2100-01-01T00:00:00Z', '--to']
  const done = await runCommand([...restoring, folder.file('restored.db')])
  expect(done).toMatchObject({ code: 0, stderr: '' })
  expect(done.stdout).toContain('Nothing was shipped between that and 2100-01-01T00:00:00.000Z, which you asked for.')
})

test('a shipper that runs for long says on stderr that it ships, and what keeps it from shipping', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open()
  await using shipper = started(['replicate', '--url', opened.url, '--to', to, '--every', '0.1'])
  await shipper.says(`Ships to ${to} until it gets Ctrl+C or SIGTERM.`)
  const follower = await Follower.open(placeOf(to), folder.file('standby.db'))
  while (!(await follower.step())) await setTimeout(50)
  await follower.promote()
  await follower.close()
  await opened.store.nodes.saveMany(manyNodes(1))
  await shipper.says('MOVED: Another database was promoted')
  expect(shipper.said().match(/Ships to/g)).toHaveLength(1)
  expect(await shipper.end()).toEqual([4, null])
})

test('a follower that runs for long says on stderr that it follows', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open({ replicate: { to, everySeconds: 3_600 } })
  await opened.store.flushReplica()
  await using follower = started(['follow', '--from', to, '--to', folder.file('standby.db'), '--every', '0.1'])
  await follower.says(`Follows ${to} until it gets Ctrl+C or SIGTERM.`)
  expect(await follower.end()).toEqual([0, null])
})

test('a follower that looks rarely ends at a signal at once', async () => {
  using folder = temporaryFolder()
  const to = folder.file('replica')
  await using opened = await sqliteFile.open({ replicate: { to, everySeconds: 3_600 } })
  await opened.store.flushReplica()
  await using follower = started(['follow', '--from', to, '--to', folder.file('standby.db'), '--every', '3000'])
  await follower.says(`Follows ${to} until`)
  expect(await follower.end()).toEqual([0, null])
})

for (const to of lastingBackends) {
  test(`a follower of a standby on ${to.name} ends by itself when the standby is promoted, before anything is shipped`, async () => {
    using folder = temporaryFolder()
    const place = folder.file('replica')
    await using opened = await sqliteFile.open({ replicate: { to: place, everySeconds: 3_600 } })
    await using target = await emptyOn(to.name)
    await opened.store.flushReplica()
    await using follower = started(['follow', '--from', place, '--to', target.url, '--every', '0.1'])
    await follower.says(`Follows ${place} until`)
    expect(await runCommand(['promote', '--from', place, '--to', target.url])).toMatchObject({ code: 0 })
    expect(await follower.ended).toEqual([2, null])
    expect(follower.said()).toMatch(/was promoted, and follows no more|A promotion of .* has begun/)
  })
}

interface Running extends AsyncDisposable {
  /** Resolves when this is on stderr. */
  says(text: string): Promise<void>
  said(): string
  /** Without having been told to. */
  readonly ended: Promise<unknown[]>
  end(): Promise<unknown[]>
}

function started(args: readonly string[]): Running {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  const end = (): Promise<unknown[]> => {
    child.kill('SIGTERM')
    return ended
  }
  return {
    says: async (text) => {
      while (!said.includes(text)) {
        if (child.exitCode !== null) throw new Error(`It ended with ${child.exitCode}, and had said: ${said}`)
        await setTimeout(20)
      }
    },
    said: () => said,
    ended,
    end,
    [Symbol.asyncDispose]: async () => void (await end()),
  }
}

test('a moment that is not there, and a place that is none, are usage errors', async () => {
  using folder = temporaryFolder()
  const to = folder.file('db')
  expect(await runCommand(['restore', '--from', folder.path, '--to', to, '--at', 'yesterday'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('"yesterday" is no moment'),
  })
  expect(await runCommand(['restore', '--from', folder.path, '--list'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('holds no replica'),
  })
  expect(await runCommand(['replicate', '--url', to, '--to', folder.path, '--once'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('There is no database at'),
  })
})
