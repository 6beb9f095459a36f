import { type ChildProcess, spawn } from 'node:child_process'

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

interface Waiting {
  readonly resolve: (line: string) => void
  readonly reject: (error: Error) => void
}

/**
 * A child process that is talked to in lines. A line counts once it has been read completely, its end included: what a
 * process was about to say when it was killed was not said.
 */
export class Program implements AsyncDisposable {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcess
  readonly #lines: string[] = []
  readonly #waiting: Waiting[] = []
  #rest = ''
  #errors = ''
  #end: Ended | undefined

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: 'pipe' })
    // A process that has ended does not read what it is sent.
    this.#child.stdin?.on('error', () => {})
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#errors += text
    })
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    this.ended = new Promise((resolve, reject) => {
      this.#child.on('error', reject)
      this.#child.on('close', (code, signal) => {
        this.#end = { code, signal }
        for (const { reject: fail } of this.#waiting.splice(0)) fail(this.#silence())
        resolve(this.#end)
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? -1
  }

  /** Sends SIGINT, unless it has ended. */
  interrupt(): void {
    this.#child.kill('SIGINT')
  }

  /** Everything it wrote to stderr so far. */
  get errors(): string {
    return this.#errors
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      const waiting = this.#waiting.shift()
      if (waiting === undefined) this.#lines.push(line)
      else waiting.resolve(line)
    }
  }

  #silence(): Error {
    return new Error(`The program ended (${JSON.stringify(this.#end)}) before it answered. ${this.#errors}`)
  }

  /** The next line; rejects if the program ends without one. */
  line(): Promise<string> {
    const line = this.#lines.shift()
    if (line !== undefined) return Promise.resolve(line)
    if (this.#end !== undefined) return Promise.reject(this.#silence())
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }))
  }

  /** The lines that were read and that nobody has asked for yet. */
  rest(): string[] {
    return this.#lines.splice(0)
  }

  /** The next line, which is JSON. */
  async answer<T>(): Promise<T> {
    return JSON.parse(await this.line())
  }

  send(message: unknown): void {
    this.#child.stdin?.write(`${JSON.stringify(message)}\n`)
  }

  /** Sends a message and waits for the answer. */
  ask<T>(message: unknown): Promise<T> {
    this.send(message)
    return this.answer<T>()
  }

  kill(): Promise<Ended> {
    this.#child.kill('SIGKILL')
    return this.ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
  }
}
