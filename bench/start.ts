/** `npm run bench`: builds the library, installs what it is measured beside, and measures. `--help` needs neither. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

if (!process.argv.includes('--help')) {
  const build = join(import.meta.dirname, '../scripts/build.ts')
  const { status } = spawnSync(process.execPath, [build], { stdio: ['ignore', 2, 2] })
  if (status !== 0) process.exit(status ?? 1)
  await import('./install.ts')
}
await import('./main.ts')
