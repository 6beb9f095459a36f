import type { Program } from '../../sqlite/support/program.ts'

/** The next line that begins so. */
export async function until(program: Program, ...marks: string[]): Promise<string> {
  for (;;) {
    const line = await program.line()
    if (marks.some((mark) => line.startsWith(mark))) return line
    if (line.startsWith('@failed')) throw new Error(line)
  }
}
