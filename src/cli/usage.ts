/** Reports arguments that cannot be used. */
import { type Command, CommanderError } from 'commander'
import { docsOf } from '../errors.ts'
import { EXIT } from './exit-codes.ts'
import { printError, printJson } from './output.ts'

/** Every command throws instead of exiting and printing, so that there is one place that knows the exit codes. */
export function throwing(command: Command): Command {
  command.exitOverride().configureOutput({ outputError: () => {} })
  for (const child of command.commands) throwing(child)
  return command
}

/** Sets the exit code for what `parseAsync` threw. Throws what is no error of usage. */
export function reportUsage(error: unknown, argv: readonly string[]): void {
  if (!(error instanceof CommanderError)) throw error
  if (['commander.helpDisplayed', 'commander.version'].includes(error.code)) {
    process.exitCode = EXIT.done
    return
  }
  process.exitCode = EXIT.usage
  // It has printed the help.
  if (error.code === 'commander.help') return
  const message = sentence(error.message)
  const described = { code: 'USAGE', message, docs: docsOf('USAGE'), retryable: false }
  if (argv.includes('--json')) printJson({ error: described })
  printError(described)
}

/** A URL among the arguments may hold a password, and may stand in the wrong place. */
function sentence(message: string): string {
  const line = message
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll(/\S*(:\/\/|@)\S*/g, '…')
    .trim()
  return `${line.charAt(0).toUpperCase()}${line.slice(1).replace(/\.$/, '')}. Nothing was done. Run the command with --help.`
}
