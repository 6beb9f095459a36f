/** `npm run pictures`: draws docs/pictures/*.dot as SVG beside them. Needs Graphviz (`dot`). */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, '../docs/pictures')
for (const name of readdirSync(folder).filter((name) => name.endsWith('.dot'))) {
  const target = join(folder, name.replace(/\.dot$/, '.svg'))
  const { error, status } = spawnSync('dot', ['-Tsvg', join(folder, name), '-o', target], { stdio: 'inherit' })
  if (error !== undefined || status !== 0) {
    console.error(`${name} was not drawn: install Graphviz, whose command is dot.`)
    process.exit(1)
  }
  console.log(`Drew ${target}`)
}
