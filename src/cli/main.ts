#!/usr/bin/env node
/** The command `meshstore`. Everything but the check of Node's version is loaded after it. */

async function main(): Promise<void> {
  try {
    await import('../node-version.ts')
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`)
    process.exitCode = 1
    return
  }
  // The reader closed the pipe early: this is no failure, and nothing more can be printed.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const { run } = await import('./program.ts')
  await run(process.argv)
}

void main()
