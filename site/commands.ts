/** The command line's reference, from the program itself. */
import type { Command } from 'commander'
import { program } from '../src/cli/program.ts'

/** One page: what each command prints with `--help`. */
export function commandPages(): string {
  const head = `# Commands

Each command with its options, as \`--help\` prints them. [The command line](command-line.md) says which one you need, and what the exit codes mean.
`
  return [head, ...sections(program(), '')].join('\n')
}

function sections(of: Command, before: string): string[] {
  const name = `${before}${of.name()}`
  const here = of.commands.length > 0 && before !== '' ? [] : [`## ${name}\n\n\`\`\`text\n${helpOf(of)}\`\`\`\n`]
  return [...here, ...of.commands.flatMap((child) => sections(child, `${name} `))]
}

function helpOf(command: Command): string {
  let help = ''
  command.configureOutput({ writeOut: (text) => (help += text) })
  command.configureHelp({ helpWidth: 100 })
  command.outputHelp()
  // The exit codes follow each help, and have a table of their own.
  return `${help.split('\nExit codes:')[0]?.trim()}\n`
}
