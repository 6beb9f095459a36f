/**
 * A real cluster on loopback: three PostgreSQL servers under Patroni, with etcd, HAProxy and PgBouncer, in a temporary folder. Each
 * is a machine that can be killed, frozen and started again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { eventually } from '../../postgres/support/eventually.ts'
import { QUICK } from '../../support/quick.ts'
import {
  PATRONI,
  type Ports,
  type Settings,
  type Synchronous,
  synchronousMode,
  writeBalancer,
  writeBouncer,
  writePatroni,
} from './configuration.ts'
import { Machine, processesIn, signalAll } from './machine.ts'
import type { Programs } from './programs.ts'

const HOST = '127.0.0.1'
const NODES = ['n1', 'n2', 'n3'] as const
/** Whatever takes so long does not happen: a slow machine is waited for. */
export const PATIENCE_MS = 300_000
const { CLUSTER_TTL } = process.env

/** How a store reaches the cluster. */
export type Via = 'hosts' | 'haproxy' | 'pgbouncer'

export class Cluster implements AsyncDisposable {
  readonly #settings: Settings
  readonly #machines: ReadonlyMap<string, Machine>
  readonly #guard: ChildProcess

  private constructor(settings: Settings, machines: readonly Machine[], guard: ChildProcess) {
    this.#settings = settings
    this.#machines = new Map(machines.map((machine) => [machine.name, machine]))
    this.#guard = guard
  }

  static async start(programs: Programs, synchronous: Synchronous = 'on'): Promise<Cluster> {
    const folder = mkdtempSync(join(QUICK, 'meshstore-cluster-'))
    chmodSync(folder, 0o755)
    const guard = spawn(process.execPath, [join(import.meta.dirname, 'guard.ts'), folder], {
      detached: true,
      stdio: ['pipe', 'inherit', 'inherit'],
    })
    try {
      const settings: Settings = {
        folder,
        password: randomBytes(12).toString('hex'),
        programs,
        ports: await freePorts(),
        ttl: Number(CLUSTER_TTL ?? 10),
        synchronous,
      }
      const cluster = new Cluster(settings, machinesOf(settings), guard)
      await cluster.#up()
      return cluster
    } catch (error) {
      guard.stdin?.end()
      throw error
    }
  }

  async #up(): Promise<void> {
    for (const name of ['etcd', ...NODES, 'haproxy', 'pgbouncer']) this.machine(name).start()
    try {
      await this.settled()
    } catch (error) {
      const logs = ['etcd', ...NODES].map(
        (name) => `${name}: ${readFileSync(this.machine(name).log, 'utf8').slice(-1_500)}`,
      )
      throw new Error(`The cluster does not start.\n${logs.join('\n')}`, { cause: error })
    }
    await this.ask(`CREATE ROLE mesh LOGIN PASSWORD '${this.#settings.password}'`)
  }

  /** A node, or `etcd`, `haproxy`, `pgbouncer`. */
  machine(name: string): Machine {
    const machine = this.#machines.get(name)
    if (machine === undefined) throw new Error(`There is no machine ${name}.`)
    return machine
  }

  /** How long the leader key lasts, in seconds. */
  get ttl(): number {
    return this.#settings.ttl
  }

  get nodes(): readonly string[] {
    return NODES
  }

  /** The URL of a database. `turn` gives the hosts in another order. */
  url(database: string, via: Via, turn = 0): string {
    const { ports, password } = this.#settings
    const servers = NODES.map((name) => `${HOST}:${ports.nodes[name]?.postgres}`)
    const turned = [...servers.slice(turn % 3), ...servers.slice(0, turn % 3)]
    const places = {
      hosts: `${turned.join()}/${database}?target_session_attrs=read-write`,
      haproxy: `${HOST}:${ports.balancer}/${database}`,
      pgbouncer: `${HOST}:${ports.bouncer}/${database}?pool_mode=transaction`,
    }
    return `postgres://mesh:${password}@${places[via]}`
  }

  /** A server past the library, as the administrator. */
  client(name: string, database = 'postgres', connectionTimeoutMillis = 5_000): pg.Client {
    const { ports, password } = this.#settings
    const port = ports.nodes[name]?.postgres ?? 0
    const client = new pg.Client({ host: HOST, port, user: 'postgres', password, database, connectionTimeoutMillis })
    client.on('error', () => {})
    return client
  }

  /** Asks the primary, as the administrator, again until it answers. */
  async ask(sql: string, database = 'postgres'): Promise<Record<string, unknown>[]> {
    let rows: Record<string, unknown>[] = []
    await eventually(
      `the primary answers: ${sql.slice(0, 40)}`,
      async () => {
        const client = this.client(await this.primary(), database)
        try {
          await client.connect()
          rows = (await client.query(sql)).rows
          return true
        } catch (error) {
          const { code = '' } = error as { code?: string }
          // An earlier attempt, whose answer was lost, has created it.
          if (code === '42P04' || code === '42710') return true
          if (/^(22|23|42)/.test(code)) throw error
          return false
        } finally {
          await client.end().catch(() => {})
        }
      },
      PATIENCE_MS,
    )
    return rows
  }

  /** A new, empty database that belongs to the role of the stores. */
  async createDatabase(): Promise<string> {
    const name = `mesh_${randomBytes(4).toString('hex')}`
    await this.ask(`CREATE DATABASE ${name} OWNER mesh`)
    return name
  }

  /** Waits until there is one, other than `before`. */
  async primary(before?: string): Promise<string> {
    let found: string | undefined
    await eventually(
      `there is a ${before === undefined ? '' : 'new '}primary`,
      async () => {
        const answers = await Promise.all(
          NODES.map(async (name) => [name, await this.#status(name, 'primary')] as const),
        )
        found = answers.find(([name, status]) => status === 200 && name !== before)?.[0]
        return found !== undefined
      },
      PATIENCE_MS,
    )
    return found ?? ''
  }

  /** The standby that the primary waits for. */
  async synchronousStandby(): Promise<string> {
    let found: string | undefined
    await eventually(
      'there is a synchronous standby',
      async () => {
        for (const name of NODES) if ((await this.#status(name, 'sync')) === 200) found = name
        return found !== undefined
      },
      PATIENCE_MS,
    )
    return found ?? ''
  }

  /** Thaws what stands still, starts what does not run, and waits until all servers follow one primary. */
  async settled(): Promise<void> {
    for (const machine of this.#machines.values()) {
      machine.thaw()
      machine.start()
    }
    await eventually(
      'all servers follow one primary',
      async () => {
        const { members = [], pause } = await this.#json<State>('cluster')
        const leader = members.find(({ role, state }) => role === 'leader' && state === 'running')
        const standbys = members.filter(({ state, timeline }) => state === 'streaming' && timeline === leader?.timeline)
        if (leader === undefined || pause || standbys.length < NODES.length - 1) return false
        const { synchronous_mode: synchronous } = await this.#json<{ synchronous_mode?: boolean }>('config')
        return synchronous !== true || standbys.some(({ role }) => role === 'sync_standby')
      },
      PATIENCE_MS,
    )
    const primary = await this.primary()
    await eventually('HAProxy finds the primary', () => this.#leadsTo(primary), PATIENCE_MS)
  }

  async #leadsTo(primary: string): Promise<boolean> {
    const { ports, password } = this.#settings
    const client = new pg.Client({
      host: HOST,
      port: ports.balancer,
      user: 'postgres',
      password,
      database: 'postgres',
      connectionTimeoutMillis: 1_000,
    })
    client.on('error', () => {})
    try {
      await client.connect()
      const { rows } = await client.query("SELECT current_setting('port') AS port, pg_is_in_recovery() AS standby")
      return rows[0].standby === false && Number(rows[0].port) === ports.nodes[primary]?.postgres
    } catch {
      return false
    } finally {
      await client.end().catch(() => {})
    }
  }

  /** Changes Patroni's configuration while it runs. */
  async configure(settings: { synchronous?: Synchronous; failsafe?: boolean }): Promise<void> {
    const { synchronous, failsafe } = settings
    const body = JSON.stringify({
      ...(synchronous === undefined ? {} : synchronousMode(synchronous)),
      ...(failsafe === undefined ? {} : { failsafe_mode: failsafe }),
    })
    await eventually(
      'the configuration is changed',
      async () => (await this.#fetch(await this.primary(), 'config', { method: 'PATCH', body }))?.ok === true,
      PATIENCE_MS,
    )
    // Patroni acts on it within its next round, and says so in the state of the members.
    if (synchronous === 'off') {
      await eventually(
        'no standby is synchronous any more',
        async () => (await this.ask('SHOW synchronous_standby_names'))[0]?.synchronous_standby_names === '',
        PATIENCE_MS,
      )
    } else await this.settled()
  }

  /** A planned switchover, to any standby that Patroni finds fit. Asks again while it finds none. */
  async switchover(): Promise<void> {
    const from = await this.primary()
    await eventually(
      'Patroni takes the order',
      async () => {
        const body = JSON.stringify({ leader: from })
        const answer = await this.#fetch(from, 'switchover', {
          method: 'POST',
          body,
          signal: AbortSignal.timeout(60_000),
        })
        return answer?.ok === true || (await this.#status(from, 'primary')) !== 200
      },
      PATIENCE_MS,
    )
    await this.primary(from)
  }

  /** Ends the server's main process alone: Patroni finds out, and the machine stays. */
  async crash(name: string): Promise<void> {
    let ended: number | undefined
    await eventually(
      `${name} runs`,
      () => {
        ended = this.#postmaster(name)
        return ended !== undefined
      },
      PATIENCE_MS,
    )
    if (ended !== undefined) signalAll([ended], 'SIGKILL')
    // Patroni starts the same server as the primary again if no standby may replace it at that moment.
    await eventually(
      'there is a primary after the crash',
      async () => {
        const now = this.#postmaster(name)
        return (await this.primary()) !== name || (now !== undefined && now !== ended)
      },
      PATIENCE_MS,
    )
  }

  /** The process id of the server's main process. */
  #postmaster(name: string): number | undefined {
    const { folder } = this.machine(name)
    const file = join(folder, 'data/postmaster.pid')
    const pid = existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : Number.NaN
    return processesIn(folder).find((each) => each === pid)
  }

  /** From now on nothing leaves the server for its standbys, which connect anew after 5 s. */
  holdLog(name: string): void {
    const senders = processesIn(this.machine(name).folder).filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('walsender')
      } catch {
        return false
      }
    })
    signalAll(senders, 'SIGSTOP')
  }

  async #status(name: string, path: string): Promise<number> {
    return (await this.#fetch(name, path))?.status ?? 0
  }

  async #json<T extends object>(path: string): Promise<Partial<T>> {
    for (const name of NODES) {
      const answer = await this.#fetch(name, path)
      if (answer?.ok) return (await answer.json()) as T
    }
    return {}
  }

  async #fetch(name: string, path: string, init: RequestInit = {}): Promise<Response | undefined> {
    try {
      const signal = init.signal ?? AbortSignal.timeout(2_000)
      const answer = await fetch(`http://${HOST}:${this.#settings.ports.nodes[name]?.patroni}/${path}`, {
        ...init,
        signal,
      })
      // Read it here: a body that is left open keeps the connection.
      return new Response(await answer.arrayBuffer(), { status: answer.status })
    } catch {
      return undefined
    }
  }

  /** Ends every process of it, and removes its folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#guard.once('exit', resolve))
    if (this.#guard.exitCode !== null) return
    this.#guard.stdin?.end()
    await ended
    rmSync(this.#settings.folder, { recursive: true, force: true })
  }
}

interface State {
  readonly members: readonly { readonly role: string; readonly state: string; readonly timeline?: number }[]
  readonly pause?: boolean
}

function machinesOf(settings: Settings): Machine[] {
  const { folder, ports, programs, ttl } = settings
  const clients = `http://${HOST}:${ports.etcd}`
  const peers = `http://${HOST}:${ports.etcdPeers}`
  const etcd = [
    ['--name', 'e1', '--data-dir', join(folder, 'etcd/data'), '--unsafe-no-fsync', '--log-level', 'warn'],
    ['--heartbeat-interval', '100', '--election-timeout', '1000'],
    ['--listen-client-urls', clients, '--advertise-client-urls', clients],
    ['--listen-peer-urls', peers, '--initial-advertise-peer-urls', peers, '--initial-cluster', `e1=${peers}`],
  ].flat()
  const patroni = ttl < 20 ? ['-c', PATRONI] : ['-m', 'patroni']
  return [
    new Machine(folder, 'etcd', [programs.etcd, ...etcd]),
    ...NODES.map((name) => new Machine(folder, name, [programs.python, ...patroni, writePatroni(settings, name)])),
    new Machine(folder, 'haproxy', [programs.haproxy, '-db', '-f', writeBalancer(settings)]),
    new Machine(folder, 'pgbouncer', [programs.pgbouncer, writeBouncer(settings)]),
  ]
}

/** Below the ports that the kernel gives to outgoing connections: a server that is killed finds its own free when it comes back. */
async function freePorts(): Promise<Ports> {
  for (;;) {
    const first = 15_000 + randomInt(1_600) * 10
    const ports = Array.from({ length: 10 }, (_, index) => first + index)
    if (!(await Promise.all(ports.map(isFree))).every(Boolean)) continue
    const [etcd = 0, etcdPeers = 0, balancer = 0, bouncer = 0, ...rest] = ports
    const nodes = Object.fromEntries(
      NODES.map((name, index) => [name, { postgres: rest[2 * index] ?? 0, patroni: rest[2 * index + 1] ?? 0 }]),
    )
    return { etcd, etcdPeers, balancer, bouncer, nodes }
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, HOST, () => probe.close(() => resolve(true)))
  })
