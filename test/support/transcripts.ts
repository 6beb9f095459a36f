/**
 * The `console` blocks of a page, acted out: their commands, as they stand, against a database in a state that a test makes. Their output is compared with the page. `UPDATE_RUNBOOK=1` writes it there instead.
 */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { expect } from 'vitest'
import { MAIN, runProgram } from '../cli/support/command.ts'
import { temporaryFolder } from './folders.ts'

export interface Place {
  readonly path: string
  readonly file: string
  readonly stack: AsyncDisposableStack
  /** In place of the page's address of a server. */
  server?: string
}
/** Makes the state of a section, and what becomes of it before each of its blocks of commands. */
export type Step = (place: Place) => unknown

const SERVER = 'db.example.net:5432/mesh'
export const URL_ON_PAGE = 'postgres://mesh@db.example.net/mesh'

/** The page as it would be printed on every machine: with its own paths, times and sizes. */
const canonical = (text: string, { path, server }: Place): string =>
  (server === undefined ? text : text.replaceAll(new URL(server).host + new URL(server).pathname, SERVER))
    .replaceAll(path, '/srv/mesh')
    .replaceAll(/\d{8}T(?!030000000)\d{9}Z/g, '20261128T093000000Z')
    .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '2026-11-28T09:30:00.000Z')
    .replaceAll(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/g, '6f1c2e0a-5d3b-4c8e-9a7f-0b1d2c3e4f50')
    .replaceAll(/^\/proc\/\d+\/fd\/\d+(\n\/proc.*)*/gm, '/proc/1234/fd/21')
    .replaceAll(/schema \d{4}_\w+|(?<=Schema {8})\d{4}_\w+/g, (found) =>
      found.replace(/\d{4}_\w+/, '0004_change_log_nonces'),
    )
    .replaceAll(/[\d,]+ bytes/g, '102,400 bytes')
    .replaceAll(/\d+ MiB/g, '67 MiB')
    .replaceAll(/^(Bytes {9}).*$/gm, (_, label: string) =>
      server === undefined ? `${label}102,400, and 0 in the log` : `${label}221,184`,
    )

export class Transcripts implements Disposable {
  readonly #file: string
  readonly #page: string
  readonly #tools = temporaryFolder()
  readonly #printed = new Map<string, string>()
  readonly sections: readonly string[]

  constructor(file: string) {
    this.#file = file
    this.#page = readFileSync(file, 'utf8')
    this.sections = this.#page.split(/^## /m).slice(1)
    writeFileSync(this.#tools.file('meshstore'), `#!/bin/sh\nexec '${process.execPath}' '${MAIN}' "$@"\n`)
    chmodSync(this.#tools.file('meshstore'), 0o755)
  }

  sectionOf(title: string): string {
    return this.sections.find((section) => section.startsWith(`${title}\n`)) ?? ''
  }

  /** A step before each block of the section. */
  async actOut(title: string, steps: readonly Step[], place: Place): Promise<void> {
    const section = this.sectionOf(title)
    const blocks = [...section.matchAll(/^```console\n(.*?)^```$/gms)].map(([, block = '']) => block)
    expect(blocks.length).toBe(steps.length)
    for (const [index, step] of steps.entries()) {
      await step(place)
      const block = blocks[index] ?? ''
      let actual = ''
      for (const [, command = ''] of block.matchAll(/^\$ (.*)$/gm)) {
        const ran = await runProgram('sh', ['-c', command.replaceAll(URL_ON_PAGE, place.server ?? URL_ON_PAGE)], {
          cwd: place.path,
          env: { PATH: `${this.#tools.path}:${process.env.PATH}` },
        })
        actual += `$ ${command}\n${canonical(ran.stdout + ran.stderr, place)}`
      }
      if (process.env.UPDATE_RUNBOOK === undefined) expect(actual).toBe(block)
      const before = this.#printed.get(section) ?? section
      this.#printed.set(
        section,
        before.replace(`\n${block}\`\`\``, () => `\n${actual}\`\`\``),
      )
    }
  }

  [Symbol.dispose](): void {
    this.#tools[Symbol.dispose]()
    if (process.env.UPDATE_RUNBOOK === undefined) return
    const updated = [...this.#printed].reduce((text, [before, after]) => text.replace(before, () => after), this.#page)
    writeFileSync(this.#file, updated)
  }
}
