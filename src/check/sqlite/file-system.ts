/** Finds the file system of the database file. */
import { type StatsFs, statfsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Findings } from '../findings.ts'

/** Linux's numbers of file systems that are not, or may not be, this machine's own (statfs(2), linux/magic.h). */
const REMOTE: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB'],
  [0x65735546, 'FUSE'],
  [0x01021997, '9P'],
  [0x00c36400, 'Ceph'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x786f4256, 'a folder shared by VirtualBox'],
])

/** The name of a file system on which SQLite's write-ahead log may not work. */
export const remoteFileSystem = (type: number): string | undefined => REMOTE.get(type >>> 0)

export function checkFileSystem(real: string, findings: Findings, stats: StatsFs = statfsSync(dirname(real))): void {
  const remote = remoteFileSystem(stats.type)
  if (process.platform !== 'linux') findings.skip('It cannot be told on this platform.', 'file-system')
  else if (remote !== undefined)
    findings.add({
      severity: 'warning',
      check: 'file-system',
      message: `The file is on ${remote}. SQLite's write-ahead log needs memory that all who use it share: a network file system has none.`,
      advice: 'Move the database to a disk of this machine’s own, or use PostgreSQL.',
    })
}
