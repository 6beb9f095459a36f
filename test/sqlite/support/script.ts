import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Plugin } from 'rolldown'
import { afterAll } from 'vitest'
import { bundled, bundledOnce } from '../../support/bundles.ts'
import { Program } from './program.ts'

/** A TypeScript program to run in processes of its own. */
export class Script {
  readonly file: string

  private constructor(file: string) {
    this.file = file
  }

  /** `plugin` may change the source on its way: then it is removed when the tests of the file are over. */
  static async bundle(script: URL, plugin?: Plugin): Promise<Script> {
    const input = { script: fileURLToPath(script) }
    if (plugin === undefined) return new Script(join(await bundledOnce(input), 'script.mjs'))
    const folder = await bundled({ input, plugin })
    afterAll(() => rmSync(folder, { recursive: true }))
    return new Script(join(folder, 'script.mjs'))
  }

  /** Runs it with the Node that runs the tests. */
  start(args: readonly string[] = [], options: { nodeOptions?: readonly string[] } = {}): Program {
    return new Program(process.execPath, [...(options.nodeOptions ?? []), this.file, ...args])
  }
}
