/** Faults of a cluster. Each resolves when the cluster can write again; `Cluster.settled()` then repairs it. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from './cluster.ts'

export interface Fault {
  readonly name: string
  readonly synchronous: 'on' | 'off' | 'strict'
  readonly failsafe?: boolean
  /** Acknowledged writes may be lost: replication is asynchronous. */
  readonly lossy?: boolean
  readonly strike: (cluster: Cluster, load: Progress) => Promise<void>
}

interface Progress {
  /** Resolves when so many more writes were acknowledged. */
  progress(writes: number): Promise<void>
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

async function freezeEtcd(cluster: Cluster): Promise<void> {
  cluster.machine('etcd').freeze()
  await pause((cluster.ttl + 6) * 1_000)
  cluster.machine('etcd').thaw()
  await cluster.primary()
}

async function killPrimary(cluster: Cluster): Promise<void> {
  const primary = await cluster.primary()
  await cluster.machine(primary).kill()
  await cluster.primary(primary)
}

export const FAULTS = {
  killed: { name: 'primary killed', synchronous: 'on', strike: killPrimary },
  lost: {
    name: 'primary lost with its disk',
    synchronous: 'on',
    strike: async (cluster) => {
      const primary = await cluster.primary()
      await cluster.machine(primary).kill()
      rmSync(join(cluster.machine(primary).folder, 'data'), { recursive: true })
      await cluster.primary(primary)
    },
  },
  crashed: {
    name: 'postmaster of the primary crashes',
    synchronous: 'on',
    strike: async (cluster) => cluster.crash(await cluster.primary()),
  },
  frozen: {
    name: 'primary stands still, thaws later',
    synchronous: 'on',
    strike: async (cluster) => {
      const primary = await cluster.primary()
      cluster.machine(primary).freeze()
      await cluster.primary(primary)
      await pause(3_000)
      cluster.machine(primary).thaw()
    },
  },
  switchover: { name: 'planned change of the primary', synchronous: 'on', strike: (cluster) => cluster.switchover() },
  switchedTwice: {
    name: 'planned change of the primary, twice',
    synchronous: 'on',
    strike: async (cluster) => {
      await cluster.switchover()
      await cluster.settled()
      await cluster.switchover()
    },
  },
  standbyKilled: {
    name: 'synchronous standby killed',
    synchronous: 'on',
    strike: async (cluster) => {
      const standby = await cluster.synchronousStandby()
      await cluster.machine(standby).kill()
      await pause(5_000)
    },
  },
  standbyFrozen: {
    name: 'synchronous standby stands still',
    synchronous: 'on',
    strike: async (cluster) => {
      const machine = cluster.machine(await cluster.synchronousStandby())
      machine.freeze()
      await pause(12_000)
      machine.thaw()
    },
  },
  etcdFailsafe: {
    name: 'etcd stands still for longer than the leader key lasts, failsafe_mode',
    synchronous: 'on',
    failsafe: true,
    strike: freezeEtcd,
  },
  etcd: { name: 'etcd stands still for longer than the leader key lasts', synchronous: 'on', strike: freezeEtcd },
  bouncerKilled: {
    name: 'PgBouncer killed',
    synchronous: 'on',
    strike: async (cluster) => {
      const machine = cluster.machine('pgbouncer')
      await machine.kill()
      await pause(2_000)
      machine.start()
    },
  },
  balancerKilled: {
    name: 'HAProxy killed',
    synchronous: 'on',
    strike: async (cluster) => {
      const machine = cluster.machine('haproxy')
      await machine.kill()
      await pause(2_000)
      machine.start()
    },
  },
  asynchronous: {
    name: 'primary killed, asynchronous, log held for 2 s',
    synchronous: 'off',
    lossy: true,
    strike: async (cluster, load) => {
      cluster.holdLog(await cluster.primary())
      await Promise.all([pause(2_000), load.progress(30)])
      await killPrimary(cluster)
    },
  },
} as const satisfies Record<string, Fault>
