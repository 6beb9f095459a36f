/** The arguments of scripts that run suites on several targets: `[--short] [TARGET…]`. */
import { parseArgs } from 'node:util'

export interface Asked<Form extends string> {
  /** The part of the suites that is run; without one of them everything. */
  readonly form: Form | undefined
  /** All that there are, if none is named. */
  readonly targets: readonly string[]
}

/** Ends the process for `--help`, and with exit code 2 for arguments that are not known. */
export function asked<Form extends string>(
  known: readonly string[],
  help: string,
  forms: readonly Form[],
): Asked<Form> {
  const refuse = (message: string): never => {
    console.error(`${message}\n\n${help}`)
    process.exit(2)
  }
  const given = () => {
    try {
      return parseArgs({
        allowPositionals: true,
        options: Object.fromEntries([...forms, 'help'].map((name) => [name, { type: 'boolean' as const }])),
      })
    } catch (error) {
      return refuse(error instanceof Error ? error.message : String(error))
    }
  }
  const { values, positionals } = given()
  if (values.help) {
    console.log(help)
    process.exit(0)
  }
  const unknown = positionals.filter((each) => !known.includes(each))
  if (unknown.length > 0) refuse(`There is no test for ${unknown.join(', ')}.`)
  const [form, another] = forms.filter((each) => values[each])
  if (another !== undefined) refuse(`--${form} or --${another}?`)
  return { form, targets: positionals.length > 0 ? positionals : known }
}

/** Runs each target's suites, says which failed, and sets the exit code. */
export function testAll(targets: readonly string[], passes: (target: string) => boolean): void {
  const failed = targets.filter((target) => !passes(target))
  console.log(failed.length > 0 ? `\nfailed: ${failed.join(', ')}` : '\nall passed')
  process.exitCode = failed.length > 0 ? 1 : 0
}
