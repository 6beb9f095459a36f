import { Command } from 'commander'
import manifest from '../../package.json' with { type: 'json' }
import { addBackup } from './backup.ts'
import { addCache } from './cache.ts'
import { addCheck } from './check.ts'
import { addCopy } from './copy.ts'
import { EXIT_HELP } from './exit-codes.ts'
import { addExport } from './export.ts'
import { addFollow } from './follow.ts'
import { addImport } from './import.ts'
import { addInspect } from './inspect.ts'
import { addMigrate } from './migrate.ts'
import { addMove } from './move.ts'
import { addReplicate } from './replicate.ts'
import { addRestore } from './restore.ts'
import { addStudio } from './studio.ts'
import { reportUsage, throwing } from './usage.ts'

/** The command line: one file per group of commands. Also what the documents of it are made from. */
export function program(): Command {
  const command = new Command('meshstore')
    .description('Looks after the storage of a mesh network’s control plane.')
    .version(manifest.version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand(false)
    .addHelpText('afterAll', EXIT_HELP)
  addMigrate(command)
  addBackup(command)
  addRestore(command)
  addExport(command)
  addImport(command)
  addCopy(command)
  addMove(command)
  addReplicate(command)
  addFollow(command)
  addCheck(command)
  addInspect(command)
  addCache(command)
  addStudio(command)
  return throwing(command)
}

/** `help migrate up` is `migrate up --help`. */
function asked(argv: readonly string[]): readonly string[] {
  const [node = '', script = '', first, ...rest] = argv
  return first === 'help' ? [node, script, ...rest, '--help'] : argv
}

/** Sets the exit code. Without arguments it prints the help. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync(asked(argv))
  } catch (error) {
    reportUsage(error, argv)
  }
}
