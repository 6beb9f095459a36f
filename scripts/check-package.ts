/**
 * Checks what would be published: packs it, installs the tarball into an empty folder, and uses it from there as
 * applications of all kinds would. It needs the registry, and is therefore no part of `npm test`.
 */
import { cp, mkdtemp, readdir, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { readJson } from './build/files.ts'
import { checkContents } from './check-package/contents.ts'
import { checkDeploy } from './check-package/deploy.ts'
import { checkDrizzleKit } from './check-package/drizzle-kit.ts'
import { installApplication, installTool } from './check-package/install.ts'
import { npm, printSummary } from './check-package/run.ts'
import { checkTypes } from './check-package/types.ts'
import { checkCommand, checkRefusal, checkUse, checkWithoutZod } from './check-package/use.ts'

const project = resolve(import.meta.dirname, '..')
const work = await realpath(await mkdtemp(join(tmpdir(), 'meshstore-package-')))
try {
  const { version } = await readJson<{ version: string }>(join(project, 'package.json'))
  // Builds first: `prepack`.
  await npm(project, ['pack', '--pack-destination', work])
  const tarball = join(work, `meshstore-${version}.tgz`)
  await checkContents(tarball)

  const app = await installApplication(work, tarball)
  const consumer = join(import.meta.dirname, 'consumer')
  for (const file of await readdir(consumer)) await cp(join(consumer, file), join(app, file))

  await checkWithoutZod(app)
  await checkCommand(app, version)
  await checkDeploy(work, tarball)
  await checkDrizzleKit(work, tarball)
  const node = async (nodeVersion: string): Promise<string> =>
    join(await installTool(work, 'node', nodeVersion), 'bin', 'node')
  // The newest and the oldest that will do; the one before it, on which the driver crashes, and older ones.
  for (const path of [process.execPath, await node('22.14.0')]) await checkUse(app, path, version)
  for (const tooOld of ['22.13.1', '20', '18.0.0']) await checkRefusal(app, await node(tooOld))

  const modules = join(project, 'node_modules')
  const typeRoots = join(modules, '@types')
  await checkTypes(app, { name: 'TypeScript 7', folder: join(modules, 'typescript') }, typeRoots)
  await checkTypes(app, { name: 'TypeScript 5.9', folder: await installTool(work, 'typescript', '5.9') }, typeRoots)
} finally {
  await rm(work, { recursive: true })
}
printSummary()
