/** Runs programs of the documents, one after the other in one process: Node takes longer to start than a snippet to run. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

const run = promisify(execFile)

export interface Program {
  readonly name: string
  readonly folder: string
  /** Its files in the folder. If one fails, the next ones of this program do not run. */
  readonly files: readonly string[]
}

/** The output of a program, and the error that ended it, if any, on `stderr`. */
export interface Printed {
  readonly stdout: string
  readonly stderr: string
}

const IN_TURN = `import { pathToFileURL } from 'node:url'
for (const { name, folder, files } of JSON.parse(process.argv[1])) {
  console.log('program-' + name)
  console.error('program-' + name)
  process.chdir(folder)
  try {
    for (const file of files) {
      console.log(file)
      await import(pathToFileURL(folder + '/' + file).href)
    }
  } catch (error) {
    console.error(error)
  }
}
`

export async function runSnippets(programs: readonly Program[]): Promise<ReadonlyMap<string, Printed>> {
  const { stdout, stderr } = await run(
    process.execPath,
    ['--input-type=module', '--eval', IN_TURN, JSON.stringify(programs)],
    { maxBuffer: 100_000_000 },
  )
  const [out, err] = [byProgram(stdout), byProgram(stderr)]
  return new Map(
    programs.map(({ name }) => [name, { stdout: out.get(name) ?? '', stderr: err.get(name) ?? 'did not run' }]),
  )
}

function byProgram(text: string): ReadonlyMap<string, string> {
  const parts = text.split(/^program-(.*)\n/m).slice(1)
  return new Map(Array.from({ length: parts.length / 2 }, (_, at) => [parts[2 * at] ?? '', parts[2 * at + 1] ?? '']))
}
