import { deepEqual } from 'node:assert/strict'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { filesIn, readJson, writeJson } from '../build/files.ts'
import { check, npm } from './run.ts'

interface Lock {
  readonly packages: Readonly<Record<string, { readonly hasInstallScript?: boolean }>>
}

/** An empty folder with one package in it. Returns the folder. */
export async function installTool(folder: string, name: string, version: string): Promise<string> {
  const tool = join(folder, `${name}-${version}`)
  await mkdir(tool)
  // The package `node` fetches the program for this machine when it is installed.
  await writeJson(join(tool, 'package.json'), { private: true, allowScripts: { node: true } })
  await npm(tool, ['install', `${name}@${version}`])
  return join(tool, 'node_modules', name)
}

/** An application that has nothing but the package. Returns its folder. */
export async function installApplication(folder: string, tarball: string): Promise<string> {
  const app = join(folder, 'app')
  await mkdir(app)
  await writeJson(join(app, 'package.json'), { name: 'app', private: true })
  await check('npm installs it with nothing but Node on the PATH', () => npm(app, ['install', tarball], { bare: true }))
  const { packages } = await readJson<Lock>(join(app, 'node_modules', '.package-lock.json'))
  await check('no package has an install script', async () => {
    const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript === true)
    deepEqual(scripted, [])
  })
  await printSize(app, Object.keys(packages))
  return app
}

async function printSize(app: string, packages: readonly string[]): Promise<void> {
  const sizes = await Promise.all(packages.map(async (path) => ({ path, bytes: await sizeOf(join(app, path)) })))
  const total = sizes.reduce((sum, { bytes }) => sum + bytes, 0)
  const large = sizes.filter(({ bytes }) => bytes >= 100_000).sort((a, b) => b.bytes - a.bytes)
  const each = large.map(({ path, bytes }) => `${path.replace('node_modules/', '')} ${megabytes(bytes)}`)
  console.log(
    `        An application gets ${sizes.length} packages, ${megabytes(total)}: ${each.join(', ')} and smaller ones.`,
  )
  console.log('        It needs no server, no compiler, and no download but these packages.')
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

async function sizeOf(folder: string): Promise<number> {
  const sizes = await Promise.all((await filesIn(folder)).map((file) => stat(join(folder, file))))
  return sizes.reduce((sum, { size }) => sum + size, 0)
}
