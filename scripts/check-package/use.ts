import { deepEqual, equal, match } from 'node:assert/strict'
import { COMMAND, check, command, npm } from './run.ts'

const nameOf = async (node: string): Promise<string> =>
  `Node ${(await command(node, ['-p', 'process.versions.node'], { cwd: '.' })).stdout.trim()}`

/** `npx meshstore`, which finds the command by its name. */
export const checkCommand = (app: string, version: string): Promise<void> =>
  check('npx finds the command', async () => {
    equal(await npm(app, ['exec', '--no', '--', 'meshstore', '--version']), `${version}\n`)
  })

/** Installs what the application needs for the entries with optional dependencies. */
export async function checkWithoutPeers(app: string): Promise<void> {
  const load = (entry: string) => command(process.execPath, ['--eval', `require('${entry}')`], { cwd: app })
  const peers = { 'meshstore/zod': 'zod', 'meshstore/opentelemetry': '@opentelemetry/api' }
  await check('without optional peers everything but their entries can be loaded', async () => {
    for (const entry of ['meshstore', 'meshstore/schema', 'meshstore/drizzle-config'])
      deepEqual(await load(entry), { code: 0, stdout: '', stderr: '' })
    for (const [entry, peer] of Object.entries(peers)) match((await load(entry)).stderr, new RegExp(peer))
  })
  await npm(app, ['install', 'zod@4', '@opentelemetry/api@1.9'])
  await check('with them their entries, too', async () => {
    for (const entry of Object.keys(peers)) deepEqual(await load(entry), { code: 0, stdout: '', stderr: '' })
  })
}

/** Uses the installed package in every way that a program can. */
export async function checkUse(app: string, node: string, version: string): Promise<void> {
  const name = await nameOf(node)
  for (const script of ['app.mjs', 'app.cjs', 'schema.mjs']) {
    await check(`${name} runs ${script}`, async () => {
      const { code, stdout, stderr } = await command(node, [script], { cwd: app })
      equal(code, 0, stderr)
      match(stdout, / works? on Node /)
      equal(stderr, '')
    })
  }
  await check(`${name} runs the command`, async () => {
    const shown = await command(node, [COMMAND, '--version'], { cwd: app })
    deepEqual(shown, { code: 0, stdout: `${version}\n`, stderr: '' })
    equal((await command(node, [COMMAND, '--help'], { cwd: app })).code, 0)
    equal((await command(node, [COMMAND, '--no-such-option'], { cwd: app })).code, 2)
  })
}

const SENTENCE =
  /meshstore needs Node\.js 22\.14, 23\.6 or newer, and this is \d+\.\d+\.\d+\. .*`npm i node@24`.*`npx node app\.mjs`\./

/** A Node that is too old says so, and does not crash. */
export async function checkRefusal(app: string, node: string): Promise<void> {
  const name = await nameOf(node)
  const ways = { 'for import': ['app.mjs'], 'for require()': ['app.cjs'], 'in the command': [COMMAND, '--help'] }
  for (const [way, args] of Object.entries(ways)) {
    await check(`${name} says what it needs ${way}`, async () => {
      const { code, stdout, stderr } = await command(node, args, { cwd: app })
      match(stderr, SENTENCE)
      deepEqual({ code, stdout }, { code: 1, stdout: '' })
      if (args[0] === COMMAND) equal(stderr.trim().split('\n').length, 1, 'a sentence, not a stack')
    })
  }
}
