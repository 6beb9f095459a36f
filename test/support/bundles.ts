/** Programs for processes of their own, bundled with the library's source, as the package is: they start in a sixth of the time. */
import { chmodSync, existsSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RolldownPluginOption, rolldown } from 'rolldown'
import { inject } from 'vitest'
import { embeddedMigrations } from '../../scripts/build/migrations.ts'
import { QUICK } from './quick.ts'

const fromRoot = (name: string): string => fileURLToPath(new URL(`../../${name}`, import.meta.url))

export interface Bundled {
  /** By the name of its file. */
  readonly input: Readonly<Record<string, string>>
  /** May change the source on its way. */
  readonly plugin?: RolldownPluginOption
}

/** Writes it into a folder of its own, which is the caller's to remove. */
export async function bundled({ input, plugin }: Bundled): Promise<string> {
  const folder = mkdtempSync(join(QUICK, 'meshstore-bundle-'))
  // For those without root's rights, too.
  chmodSync(folder, 0o755)
  // Modules outside of the bundle are found from its folder.
  symlinkSync(fromRoot('node_modules'), join(folder, 'node_modules'))
  const bundle = await rolldown({
    input,
    platform: 'node',
    external: ['better-sqlite3', 'pg'],
    plugins: [plugin, embeddedMigrations],
    onLog: () => {},
  })
  await bundle.write({ dir: folder, format: 'esm', entryFileNames: '[name].mjs', chunkFileNames: '[name].mjs' })
  await bundle.close()
  return folder
}

/** One bundle for all test files of a run: the first that asks makes it. It stays until the run is over. */
export async function bundledOnce(input: Bundled['input']): Promise<string> {
  const kept = join(
    inject('shared'),
    `bundle-${Object.values(input)
      .join()
      .replaceAll(/[^\w.]+/g, '-')}`,
  )
  if (existsSync(kept)) return kept
  const mine = await bundled({ input })
  try {
    renameSync(mine, kept)
  } catch {
    // Another was first.
    rmSync(mine, { recursive: true })
  }
  return kept
}
