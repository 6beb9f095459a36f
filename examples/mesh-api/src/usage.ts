/** The arguments of the server. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** Something that cannot be worked with; the message says what, and what to do. */
export class UsageError extends Error {}

export const HELP = `npm run mesh-api [-- OPTIONS]
npm run mesh-api -- import FILE… [--url URL]

Serves a mesh: its nodes, links and policies, and the paths between its nodes. The page is at /, the description at
/openapi.json. An empty storage gets Abilene, 11 nodes.

\`import\` adds the nodes, links and labels of files: a NetJSON NetworkGraph, a dump of batman-adv (batadv-vis) or OLSR
(jsoninfo, txtinfo), or a map of Freifunk (meshviewer.json, graph.json). Nodes that are there stay as they are.

  --empty          leaves an empty storage empty
  --url URL        where everything is stored: a file, sqlite:… or postgres://… (DATABASE_URL, or ./mesh.db)
  --successor URL  postgres://…, where a file's data moves to while this serves (SUCCESSOR_URL): it goes on there
  --port N         8080; 0 takes any that is free
  --host ADDRESS   127.0.0.1. Without a token everyone who reaches the address may change everything
  --allow-host N   a name in Host headers besides localhost and IP addresses: that of a proxy in front. May be repeated
  --token-file F   a file with a bearer token that every request must carry (or the token itself in MESH_API_TOKEN)
  --help`

export interface Usage {
  /** To import; none: serve. */
  readonly files: readonly string[]
  readonly empty: boolean
  readonly url: string
  readonly successor: string | undefined
  readonly port: number
  readonly host: string
  readonly allowedHosts: readonly string[]
  readonly token: string | undefined
}

/** The example that is stored in an empty storage. */
export const EXAMPLE = fileURLToPath(new URL('../../abilene.json', import.meta.url))

/** Throws UsageError. */
export function usageOf(args: readonly string[], environment: NodeJS.ProcessEnv): Usage | 'help' {
  const { values, positionals } = valuesOf(args)
  if (values.help) return 'help'
  const [command, ...files] = positionals
  if (command !== undefined && command !== 'import')
    throw new UsageError(`There is no command ${JSON.stringify(command)}. Expected: import FILE. See --help.`)
  if (command === 'import' && files.length === 0) throw new UsageError('Which file? Use: import FILE. See --help.')
  const port = Number(values.port)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--port must be a number from 0 to 65535, and is ${values.port}.`)
  }
  return {
    files,
    empty: values.empty,
    url: values.url ?? environment.DATABASE_URL ?? './mesh.db',
    successor: values.successor ?? environment.SUCCESSOR_URL,
    port,
    host: values.host,
    allowedHosts: values['allow-host'],
    token: values['token-file'] === undefined ? environment.MESH_API_TOKEN || undefined : tokenIn(values['token-file']),
  }
}

function valuesOf(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        empty: { type: 'boolean', default: false },
        url: { type: 'string' },
        successor: { type: 'string' },
        port: { type: 'string', default: '8080' },
        host: { type: 'string', default: '127.0.0.1' },
        'allow-host': { type: 'string', multiple: true, default: [] },
        'token-file': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}. See --help.`)
  }
}

function tokenIn(file: string): string {
  let token: string
  try {
    token = readFileSync(file, 'utf8').trim()
  } catch (error) {
    throw new UsageError(`The token file cannot be read: ${error instanceof Error ? error.message : error}`)
  }
  if (token === '') throw new UsageError(`The token file ${file} is empty.`)
  return token
}
