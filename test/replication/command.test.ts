/** `meshstore replicate` and `meshstore restore` of a place, in processes of their own. */
import { expect, test } from 'vitest'
import { openStorage } from '../../src/index.ts'
import { runCommand } from '../cli/support/command.ts'
import { lastingBackends } from '../support/backends.ts'
import { temporaryFolder } from '../support/folders.ts'
import { manyNodes } from '../support/samples.ts'
import { contentOf } from './support/replicas.ts'

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
