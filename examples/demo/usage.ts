/** The arguments of the demo. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** Something that cannot be worked with; the message says what, and what to do. */
export class UsageError extends Error {}

export const HELP = `npm run demo [-- OPTIONS] [FILE…]

Stores the topologies in the NetJSON NetworkGraph files, or Abilene's 11 nodes, and shows what becomes of them.

  --db FILE      keep the database here; by default it is in a new temporary folder
  --nodes N      fill up to so many nodes (5000)
  --bundles N    cache so many bundles of paths at most (500)
  --quick        fewer calls of each operation, one killed process
  --json         one JSON document in place of the text
  --help`

export interface Usage {
  readonly files: readonly string[]
  /** The place of the database. */
  readonly db: string | undefined
  readonly nodes: number
  readonly bundles: number
  readonly quick: boolean
  readonly json: boolean
}

const ABILENE = fileURLToPath(new URL('../abilene.json', import.meta.url))
const MOST = 1_000_000

/** Throws UsageError. */
export function usageOf(args: readonly string[]): Usage | 'help' {
  const { values, positionals } = parsed(args)
  if (values.help) return 'help'
  return {
    files: positionals.length > 0 ? positionals : [ABILENE],
    db: values.db,
    nodes: numberOf('--nodes', values.nodes),
    bundles: numberOf('--bundles', values.bundles),
    quick: values.quick,
    json: values.json,
  }
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        db: { type: 'string' },
        nodes: { type: 'string', default: '5000' },
        bundles: { type: 'string', default: '500' },
        quick: { type: 'boolean', default: false },
        json: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}. See --help.`)
  }
}

function numberOf(name: string, text: string): number {
  const value = Number(text)
  if (Number.isInteger(value) && value >= 1 && value <= MOST) return value
  throw new UsageError(`${name} must be a number from 1 to ${MOST}, and is ${text}.`)
}
