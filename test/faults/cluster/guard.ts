/**
 * Ends a cluster when its test ends, however that happens: the test's end of the pipe closes, then this program kills what runs
 * in the folder and removes it.
 */
import { execFileSync } from 'node:child_process'
import { globSync, readFileSync, rmSync } from 'node:fs'
import { killAll, processesIn } from './machine.ts'

const [folder] = process.argv.slice(2)
if (folder === undefined) throw new Error('Name the folder of the cluster.')

process.stdin.resume()
await new Promise((resolve) => process.stdin.once('end', resolve).once('error', resolve))
const deadline = performance.now() + 10_000
while (processesIn(folder).length > 0 && performance.now() < deadline) {
  killAll(folder)
  await new Promise((resolve) => setTimeout(resolve, 20))
}
// A server that is killed leaves a small segment of shared memory behind. Its number is in the seventh line.
for (const file of globSync(`${folder}/*/data/postmaster.pid`)) {
  const [, segment] = readFileSync(file, 'utf8').split('\n')[6]?.trim().split(/\s+/) ?? []
  try {
    if (segment !== undefined) execFileSync('ipcrm', ['-m', segment], { stdio: 'ignore' })
  } catch {
    // The kernel has removed it, or the program is not there.
  }
}
rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
