/** Does as mesh.py does, on machines without Python: the bare driver, rows by position, texts as Python writes them. */
import Sqlite from 'better-sqlite3'
import { messages, say } from '../support/messages.ts'

const db = new Sqlite(process.argv[2] ?? '')
db.pragma('busy_timeout = 5000')

function bits(value: unknown): string {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleBE(Number(value))
  return bytes.toString('hex')
}
const rows = (sql: string): unknown[][] => db.prepare<[], unknown[]>(sql).raw().all()
const parsed = (text: unknown): unknown => JSON.parse(String(text))
/** Like json.dumps(): a blank after each comma and colon, and nothing but ASCII. */
const dumps = (value: unknown): string =>
  JSON.stringify(value, null, 1)
    .replaceAll(/\n\s*/g, ' ')
    .replaceAll(/([[{]) | ([\]}])/g, '$1$2')
    .replaceAll(/[^ -~]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)

function read(): unknown {
  return {
    nodes: rows('SELECT * FROM nodes ORDER BY node_id').map(
      ([id, interfaces, protocols, started, routes, createdAt, updatedAt]) => {
        return [id, parsed(interfaces), parsed(protocols), Boolean(started), routes, bits(createdAt), bits(updatedAt)]
      },
    ),
    policies: rows('SELECT * FROM policies ORDER BY policy_id').map(([id, text, count, createdAt, updatedAt]) => {
      return [id, text, count, bits(createdAt), bits(updatedAt)]
    }),
    paths: rows('SELECT * FROM path_cache ORDER BY cache_key').map(
      ([key, source, destination, k, bundle, createdAt, expiresAt]) => {
        return [key, source, destination, k, parsed(bundle), bits(createdAt), bits(expiresAt)]
      },
    ),
  }
}

const insert = {
  node: db.prepare('INSERT INTO nodes VALUES (?,?,?,?,?,?,?)'),
  policy: db.prepare('INSERT INTO policies VALUES (?,?,?,?,?)'),
  path: db.prepare('INSERT OR REPLACE INTO path_cache VALUES (?,?,?,?,?,?,?)'),
}

const write = db.transaction((nodeId: string, ttl: number): string => {
  // Microseconds, like time.time().
  const now = (performance.timeOrigin + performance.now()) / 1000
  insert.node.run(nodeId, dumps(['eth0', 'wlan0']), dumps(['batman-adv', 'ü']), 1, 7, now, now)
  insert.policy.run(nodeId, 'rules:\n  - a: ü\n', 1, now, now)
  const bundle = { source: nodeId, destination: 'z', primary: [{ nodes: [nodeId, 'z'], total_weight: 1.5 }] }
  insert.path.run(`${nodeId}:z:3`, nodeId, 'z', 3, dumps(bundle), now, now + ttl)
  return bits(now)
})

type Order =
  | { readonly do: 'read' }
  | { readonly do: 'write'; readonly with: [nodeId: string, ttl: number] }
  | { readonly do: 'write_many'; readonly with: [prefix: string, count: number] }

function obey(order: Order): unknown {
  if (order.do === 'read') return read()
  if (order.do === 'write') return write.immediate(...order.with)
  const [prefix, count] = order.with
  for (let index = 0; index < count; index++) write.immediate(`${prefix}${index}`, 60)
  return count
}

for await (const order of messages<Order>()) say(JSON.stringify(obey(order)))
