/** The files that configure a cluster: Patroni's, HAProxy's and PgBouncer's. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { give } from './machine.ts'
import type { Programs } from './programs.ts'

export type Synchronous = 'on' | 'off' | 'strict'

export interface Settings {
  readonly folder: string
  readonly password: string
  readonly programs: Programs
  readonly ports: Ports
  /** How long a primary keeps its leader key without renewing it, in seconds. */
  readonly ttl: number
  readonly synchronous: Synchronous
}

export interface Ports {
  readonly etcd: number
  readonly etcdPeers: number
  readonly balancer: number
  readonly bouncer: number
  /** By node: PostgreSQL, and Patroni's own. */
  readonly nodes: Readonly<Record<string, { readonly postgres: number; readonly patroni: number }>>
}

/** Patroni insists on at least 20 s for the leader key. Here its check is replaced, in memory, so that a fault takes less long. */
export const PATRONI = `
import sys, patroni.config
patroni.config.Config._validate_and_adjust_timeouts = lambda self, config: None
from patroni.__main__ import main
sys.argv = ["patroni", sys.argv[1]]
main()`

export const synchronousMode = (mode: Synchronous): object => ({
  synchronous_mode: mode !== 'off',
  synchronous_mode_strict: mode === 'strict',
})

/** For the servers' user alone: it contains the password. Returns its path. */
function write(folder: string, name: string, text: string): string {
  const path = join(folder, name)
  writeFileSync(path, text, { mode: 0o600 })
  give(path)
  return path
}

const HOST = '127.0.0.1'

export function writePatroni(settings: Settings, name: string): string {
  const { folder, password, ports, programs, ttl } = settings
  const { postgres, patroni } = ports.nodes[name] ?? { postgres: 0, patroni: 0 }
  const own = join(folder, name)
  // JSON is YAML.
  return write(
    folder,
    `${name}.yml`,
    JSON.stringify({
      scope: 'meshstore',
      name,
      restapi: { listen: `${HOST}:${patroni}`, connect_address: `${HOST}:${patroni}` },
      etcd3: { hosts: `${HOST}:${ports.etcd}` },
      bootstrap: {
        dcs: {
          ttl,
          loop_wait: 1,
          retry_timeout: Math.min(5, Math.floor((ttl - 1) / 2)),
          maximum_lag_on_failover: 1_048_576,
          // A primary that has crashed is not waited for.
          primary_start_timeout: 0,
          failsafe_mode: false,
          ...synchronousMode(settings.synchronous),
          postgresql: {
            use_pg_rewind: true,
            use_slots: true,
            parameters: {
              max_connections: 100,
              shared_buffers: '32MB',
              wal_keep_size: '64MB',
              max_wal_size: '256MB',
              min_wal_size: '64MB',
              wal_sender_timeout: '5s',
              wal_receiver_timeout: '5s',
              wal_receiver_status_interval: '1s',
              wal_retrieve_retry_interval: '200ms',
              hot_standby_feedback: 'on',
              jit: 'off',
              // Hash a password once in place of 4,096 times: a fault makes hundreds of connections.
              ...(programs.postgresVersion < 16 ? {} : { scram_iterations: 1 }),
            },
          },
        },
        initdb: [{ encoding: 'UTF8' }, { locale: 'C' }, 'data-checksums'],
      },
      postgresql: {
        listen: `${HOST}:${postgres}`,
        connect_address: `${HOST}:${postgres}`,
        data_dir: join(own, 'data'),
        bin_dir: programs.postgres,
        pgpass: join(own, 'pgpass'),
        use_unix_socket: true,
        remove_data_directory_on_rewind_failure: true,
        remove_data_directory_on_diverged_timelines: true,
        authentication: {
          superuser: { username: 'postgres', password },
          replication: { username: 'replicator', password },
          rewind: { username: 'rewinder', password },
        },
        basebackup: [{ checkpoint: 'fast' }],
        parameters: { unix_socket_directories: own },
        pg_hba: [
          'local all all trust',
          `host all all ${HOST}/32 scram-sha-256`,
          `host replication all ${HOST}/32 scram-sha-256`,
        ],
      },
    }),
  )
}

export function writeBalancer({ folder, ports }: Settings): string {
  const servers = Object.entries(ports.nodes).map(
    ([name, { postgres, patroni }]) => `  server ${name} ${HOST}:${postgres} check port ${patroni}`,
  )
  const text = `global
  maxconn 400
defaults
  mode tcp
  retries 1
  option redispatch
  timeout connect 1s
  timeout queue 1s
  timeout client 30m
  timeout server 30m
  timeout check 1s
listen primary
  bind ${HOST}:${ports.balancer}
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 500ms fall 2 rise 1 on-marked-down shutdown-sessions
${servers.join('\n')}
`
  return write(folder, 'haproxy.cfg', text)
}

export function writeBouncer({ folder, ports, password }: Settings): string {
  const users = write(folder, 'users.txt', `"postgres" "${password}"\n"mesh" "${password}"\n`)
  const text = `[databases]
* = host=${HOST} port=${ports.balancer}
[pgbouncer]
listen_addr = ${HOST}
listen_port = ${ports.bouncer}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${users}
pool_mode = transaction
server_login_retry = 0
server_fast_close = 1
`
  return write(folder, 'pgbouncer.ini', text)
}
