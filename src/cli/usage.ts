/** Reports arguments that cannot be used. */
import { type Command, CommanderError } from 'commander'
import { docsOf } from '../errors.ts'
import { EXIT } from './exit-codes.ts'
import { printError, printJson } from './output.ts'

/** Makes each command throw instead of exiting: one place sets the exit codes. */
export function throwing(command: Command): Command {
  command.exitOverride().configureOutput({ outputError: () => {} })
  for (const child of command.commands) throwing(child)
  return command
}

/** Sets the exit code for a usage error of `parseAsync`. Rethrows other errors. */
export function reportUsage(error: unknown, argv: readonly string[]): void {
  if (!(error instanceof CommanderError)) throw error
  if (['commander.helpDisplayed', 'commander.version'].includes(error.code)) {
    process.exitCode = EXIT.done
    return
  }
  process.exitCode = EXIT.usage
  // commander has printed the help.
  if (error.code === 'commander.help') return
  const message = sentence(error.message)
  const described = { code: 'USAGE', message, docs: docsOf('USAGE'), retryable: false }
  if (argv.includes('--json')) printJson({ error: described })
  printError(described)
}

/** Drops arguments from the message: a misplaced URL may contain a password. */
function sentence(message: string): string {
  const line = message
    .replace(/^error: /, '')
    .replaceAll(/\s*\n\s*/g, ' ')
    .replaceAll(/\S*(:\/\/|@)\S*/g, '…')
    .trim()
  return `${line.charAt(0).toUpperCase()}${line.slice(1).replace(/\.$/, '')}. Nothing was done. Run the command with --help.`
}
