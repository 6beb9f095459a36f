/** The library that is measured: what users install, if it is built. */
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { built, libraryPath } from './driver.ts'

type Library = typeof import('../src/index.ts')

const source = fileURLToPath(new URL('../src/', import.meta.url))

export const { copyDatabase, openStorage }: Library = await import(pathToFileURL(libraryPath).href)

/** Things to know about the figures before they are believed. */
export function warnings(): string[] {
  if (libraryPath !== built)
    return ['Measured from src/, which starts slower and takes more memory. Run: npm run build']
  const newest = readdirSync(source, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .reduce((latest, file) => Math.max(latest, statSync(join(source, file)).mtimeMs), 0)
  return newest > statSync(built).mtimeMs ? ['dist/ is measured, and is older than src/. Run: npm run build'] : []
}
