/** The programs of a cluster, as Debian's packages install them. */
import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'

export const PACKAGES = 'patroni etcd-server haproxy pgbouncer python3-etcd postgresql'

/** Not by PATH: Patroni is a package of Debian's own Python. */
const found = (name: string): string | undefined =>
  ['/usr/bin', '/usr/sbin'].map((folder) => join(folder, name)).find((path) => existsSync(path))

const versionOf = (folder: string): number => Number(/(\d+)\/bin$/.exec(folder)?.[1] ?? 0)
/** The version that the run is for, or the newest that is installed. */
const postgres =
  process.env.TEST_POSTGRES_PROGRAMS ??
  globSync('/usr/lib/postgresql/*/bin')
    .filter((folder) => existsSync(join(folder, 'initdb')))
    .toSorted((a, b) => versionOf(a) - versionOf(b))
    .at(-1)

export interface Programs {
  readonly etcd: string
  readonly haproxy: string
  readonly pgbouncer: string
  readonly python: string
  /** The folder of PostgreSQL's programs. */
  readonly postgres: string
  readonly postgresVersion: number
}

/** The programs, or what is missing. */
export function clusterPrograms(): Programs | string {
  if (process.platform !== 'linux') return 'It needs Linux.'
  const [etcd, haproxy, pgbouncer, python] = ['etcd', 'haproxy', 'pgbouncer', 'python3'].map(found)
  const modules = ['patroni', 'etcd'].every((name) => existsSync(`/usr/lib/python3/dist-packages/${name}`))
  if (etcd && haproxy && pgbouncer && python && postgres && modules)
    return { etcd, haproxy, pgbouncer, python, postgres, postgresVersion: versionOf(postgres) }
  return `Install its programs: apt-get install --no-install-recommends ${PACKAGES}.`
}
