import { Command } from 'commander'
import manifest from '../../package.json' with { type: 'json' }

/** The command line: one file per command. */
function program(): Command {
  return new Command('meshstore')
    .description('Looks after the storage of a mesh network’s control plane.')
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .showHelpAfterError()
}

/** Exits with 1 for arguments that it does not understand. Without arguments it prints the help. */
export async function run(argv: readonly string[]): Promise<void> {
  const command = program()
  if (argv.length <= 2) command.help()
  await command.parseAsync(argv)
}
