/**
 * Checks what would be published: packs it, installs the tarball into an empty folder, and uses it from there as
 * applications of all kinds would. It needs the registry, and is therefore no part of `npm test`.
 */
import { cp, mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { readJson } from './build/files.ts'
import { checkContents } from './check-package/contents.ts'
import { checkDeploy } from './check-package/deploy.ts'
import { checkDrizzleKit } from './check-package/drizzle-kit.ts'
import { installApplication, installTool } from './check-package/install.ts'
import { checkOwnTables } from './check-package/own-tables.ts'
import { npm, printSummary } from './check-package/run.ts'
import { checkTools } from './check-package/tools.ts'
import { checkTypes } from './check-package/types.ts'
import { checkCommand, checkRefusal, checkUse, checkWithoutPeers } from './check-package/use.ts'

const HELP = `npm run test:package                packs the library, installs it, and uses it: what takes seconds each
npm run test:package -- --all       also in ts-jest, vitest, Next.js, Bun and Deno: some minutes more
npm run test:package -- --tools     only the tools: Jest, esbuild and rolldown; with --all all of them
`
const { values } = parseArgs({
  options: { all: { type: 'boolean' }, tools: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
})
if (values.help === true) {
  process.stdout.write(HELP)
  process.exit()
}

const project = resolve(import.meta.dirname, '..')
const work = await realpath(await mkdtemp(join(tmpdir(), 'meshstore-package-')))
try {
  const { version } = await readJson<{ version: string }>(join(project, 'package.json'))
  // Builds first: `prepack`.
  await npm(project, ['pack', '--pack-destination', work])
  const tarball = join(work, `meshstore-${version}.tgz`)
  if (values.tools !== true) await checkPackage(tarball, version)
  await checkTools(work, tarball, values.all === true)
} finally {
  await rm(work, { recursive: true })
}
printSummary()

async function checkPackage(tarball: string, version: string): Promise<void> {
  await checkContents(tarball)

  const app = await installApplication(work, tarball)
  const consumer = join(import.meta.dirname, 'consumer')
  for (const file of await readdir(consumer)) await cp(join(consumer, file), join(app, file))

  await checkWithoutPeers(app)
  await checkCommand(app, version)
  await checkDeploy(work, tarball)
  await checkDrizzleKit(work, tarball)
  await checkOwnTables(work, tarball)
  const node = async (nodeVersion: string): Promise<string> =>
    join(await installTool(work, 'node', nodeVersion), 'bin', 'node')
  // The newest and the oldest that will do; the one before it, on which the driver crashes, and older ones.
  for (const path of [process.execPath, await node('22.14.0')]) await checkUse(app, path, version)
  for (const tooOld of ['22.13.1', '20', '18.0.0']) await checkRefusal(app, await node(tooOld))

  const modules = join(project, 'node_modules')
  const typeRoots = join(modules, '@types')
  await checkTypes(app, { name: 'TypeScript 7', folder: join(modules, 'typescript') }, typeRoots)
  for (const compiler of ['5.9', '5.6']) {
    const folder = await installTool(work, 'typescript', compiler)
    await checkTypes(app, { name: `TypeScript ${compiler}`, folder }, typeRoots)
  }
}
