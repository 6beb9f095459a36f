import { Command, CommanderError } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import { addBackup } from './backup.ts'
import { addCheck } from './check.ts'
import { EXIT, EXIT_HELP } from './exit-codes.ts'
import { addMigrate } from './migrate.ts'
import { addTransfer } from './transfer.ts'

/** The command line: one file per group of commands. */
function program(): Command {
  const command = new Command('meshstore')
    .description('Looks after the storage of a mesh network’s control plane.')
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .addHelpText('after', EXIT_HELP)
  addMigrate(command)
  addBackup(command)
  addTransfer(command)
  addCheck(command)
  return inherited(command)
}

/** Every command throws instead of exiting, so that there is one place that knows the exit codes. */
function inherited(command: Command): Command {
  command.exitOverride().showHelpAfterError('(--help says more)')
  for (const child of command.commands) inherited(child)
  return command
}

/** Sets the exit code. Without arguments it prints the help. */
export async function run(argv: readonly string[]): Promise<void> {
  const command = program()
  try {
    await command.parseAsync(argv)
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    const asked = ['commander.helpDisplayed', 'commander.version'].includes(error.code)
    process.exitCode = asked ? EXIT.done : EXIT.usage
  }
}
