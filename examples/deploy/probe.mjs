/** Asks the application for its health: `node probe.mjs [--wait SECONDS]`. Exit code 0: the store reads and writes. */
import { setTimeout as sleep } from 'node:timers/promises'

const url = `http://127.0.0.1:${process.env.PORT ?? 8080}/health`
const [, seconds = '0'] = process.argv.slice(2)
const deadline = Date.now() + Number(seconds) * 1_000

async function isHealthy() {
  try {
    const { ok } = await fetch(url, { signal: AbortSignal.timeout(5_000) })
    return ok
  } catch {
    return false
  }
}

let healthy = await isHealthy()
while (!healthy && Date.now() < deadline) {
  await sleep(250)
  healthy = await isHealthy()
}
if (!healthy)
  console.error(`${url} does not answer that all is well. The data is as it was. Look into the log of the application.`)
process.exitCode = healthy ? 0 : 1
