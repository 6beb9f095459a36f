/** `npm run demo`. Ends with 1 if something is lost or differs, with 2 for what it cannot work with. */
import { rmSync } from 'node:fs'
import { extentOf, runDemo } from './demo.ts'
import { placesFor } from './places.ts'
import { silent, visible } from './progress.ts'
import { ending } from './report.ts'
import { readTopologyFile } from './topology.ts'
import { HELP, type Usage, UsageError, usageOf } from './usage.ts'

async function main(): Promise<void> {
  const usage = usageOf(process.argv.slice(2))
  if (usage === 'help') console.log(HELP)
  else await run(usage)
}

async function run({ files, db, json, ...options }: Usage): Promise<void> {
  const topologies = files.map(readTopologyFile)
  const places = placesFor(db)
  const tidy = (): void => rmSync(places.scratch, { recursive: true, force: true })
  const stop = (): void => {
    tidy()
    process.exit(130)
  }
  process.once('SIGINT', stop).once('SIGTERM', stop)
  try {
    const extent = extentOf(options.quick)
    const report = await runDemo(topologies, { ...options, ...extent }, places, json ? silent : visible())
    console.log(json ? JSON.stringify(report, null, 2) : ending(report, places.remains))
    if (report.failures.length > 0) process.exitCode = 1
  } finally {
    tidy()
  }
}

try {
  await main()
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error)
  process.exit(error instanceof UsageError ? 2 : 1)
}
