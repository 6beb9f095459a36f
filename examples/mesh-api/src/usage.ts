/** What the server is started with. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

/** Something that cannot be worked with; the message says what, and what to do. */
export class UsageError extends Error {}

export const HELP = `npm run mesh-api [-- OPTIONS]

Serves a mesh: its nodes and policies, and the paths between its nodes. The page is at /, the description at /openapi.json.

  --topology FILE  its nodes and weighted links, a NetJSON NetworkGraph (Abilene, 11 nodes)
  --url URL        where everything is stored: a file, sqlite:… or postgres://… (DATABASE_URL, or ./mesh.db)
  --successor URL  postgres://…, where a file's data moves to while this serves (SUCCESSOR_URL): it goes on there
  --port N         8080; 0 takes any that is free
  --host ADDRESS   127.0.0.1. Without a token everyone who reaches the address may change everything
  --allow-host N   a name in Host headers besides localhost and IP addresses: that of a proxy in front. May be repeated
  --token-file F   a file with a bearer token that every request must carry (or the token itself in MESH_API_TOKEN)
  --help`

export interface Usage {
  readonly topology: string
  readonly url: string
  readonly successor: string | undefined
  readonly port: number
  readonly host: string
  readonly allowedHosts: readonly string[]
  readonly token: string | undefined
}

const ABILENE = fileURLToPath(new URL('../../abilene.json', import.meta.url))

/** Throws UsageError. */
export function usageOf(args: readonly string[], environment: NodeJS.ProcessEnv): Usage | 'help' {
  const values = valuesOf(args)
  if (values.help) return 'help'
  const port = Number(values.port)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new UsageError(`--port must be a number from 0 to 65535, and is ${values.port}.`)
  }
  return {
    topology: values.topology,
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
      options: {
        topology: { type: 'string', default: ABILENE },
        url: { type: 'string' },
        successor: { type: 'string' },
        port: { type: 'string', default: '8080' },
        host: { type: 'string', default: '127.0.0.1' },
        'allow-host': { type: 'string', multiple: true, default: [] },
        'token-file': { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    }).values
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
