/** Collects findings in constant memory: it lists the first 100 of each kind, and counts the rest. */
import { isError, StorageError } from '../errors.ts'

/** `error`: data is lost or in danger, or cannot be used. `warning`: an operator should act. `info`: worth knowing. */
export type Severity = 'error' | 'warning' | 'info'
const SEVERITIES: readonly Severity[] = ['error', 'warning', 'info']

/** Names of the checks. Stable: scripts may depend on them. */
export type CheckName =
  | 'file-rights'
  | 'file-system'
  | 'integrity'
  | 'last-backup'
  | 'migrations'
  | 'move'
  | 'open'
  | 'others'
  | 'rights'
  | 'rows'
  | 'schema'
  | 'settings'
  | 'wal-size'

export interface Finding {
  readonly severity: Severity
  readonly check: CheckName
  /** A sentence. Ids may be in it; other values never are. */
  readonly message: string
  /** The operator's next step. */
  readonly advice: string
  readonly table?: string
  /** The row's key; shortened if longer than an id may be. */
  readonly key?: string
  readonly column?: string
  /** The number of rows, migrations, names, or findings that are not listed. */
  readonly count?: number
}

export interface NotChecked {
  readonly check: CheckName
  readonly reason: string
}

export interface CheckReport {
  readonly dialect: 'sqlite' | 'postgresql'
  /** The worst first. */
  readonly findings: readonly Finding[]
  /** The number of findings of each severity, listed or not. */
  readonly counts: Readonly<Record<Severity, number>>
  /** The checks without an error or a warning. */
  readonly passed: readonly CheckName[]
  readonly notChecked: readonly NotChecked[]
}

/** Most findings that are listed for one check and severity. */
const LISTED = 100

interface Kind {
  readonly last: Finding
  readonly count: number
}

export class Findings {
  readonly #isAway: (error: StorageError) => boolean
  readonly #findings: Finding[] = []
  readonly #kinds = new Map<string, Kind>()
  readonly #made = new Set<CheckName>()
  readonly #notChecked = new Map<CheckName, string>()

  /** `isAway`: whether an error says that the database is unreachable, which ends the check. */
  constructor(isAway = ({ code }: StorageError): boolean => code === 'UNAVAILABLE') {
    this.#isAway = isAway
  }

  add(finding: Finding): void {
    const name = `${finding.severity} ${finding.check}`
    const { count } = this.#kinds.get(name) ?? { count: 0 }
    if (count < LISTED) this.#findings.push(finding)
    this.#kinds.set(name, { last: finding, count: count + 1 })
    this.#made.add(finding.check)
  }

  skip(reason: string, ...checks: readonly CheckName[]): void {
    for (const check of checks) this.#notChecked.set(check, reason)
  }

  /**
   * Runs one look. If the look fails, its checks are reported as not checked, and the others go on. Throws BUSY and
   * UNAVAILABLE: the other looks would fail too.
   */
  async look<T>(checks: CheckName | readonly CheckName[], work: () => T | Promise<T>): Promise<T | undefined> {
    const names = typeof checks === 'string' ? [checks] : checks
    try {
      const result = await work()
      for (const name of names) this.#made.add(name)
      return result
    } catch (error) {
      if (isOfFileSystem(error)) {
        this.skip(`This user may not look at it (${error.code}).`, ...names)
        return undefined
      }
      if (!(error instanceof StorageError) || error.code === 'BUSY' || this.#isAway(error)) throw error
      this.skip(error.message, ...names)
      const [check] = names
      if (error.code === 'CORRUPT' && check !== undefined)
        this.add({ severity: 'error', check, message: error.message, advice: RESTORE })
      return undefined
    }
  }

  report(dialect: CheckReport['dialect']): CheckReport {
    const counts = { error: 0, warning: 0, info: 0 }
    const rest: Finding[] = []
    const bad = new Set<CheckName>()
    for (const { last, count } of this.#kinds.values()) {
      const { severity, check, advice } = last
      counts[severity] += count
      if (severity !== 'info') bad.add(check)
      const more = count - LISTED
      if (more > 0) rest.push({ severity, check, message: `There are ${more} more like these.`, advice, count: more })
    }
    const all = [...this.#findings, ...rest]
    return {
      dialect,
      findings: SEVERITIES.flatMap((severity) => all.filter((finding) => finding.severity === severity)),
      counts,
      passed: [...this.#made].filter((check) => !bad.has(check) && !this.#notChecked.has(check)).sort(),
      notChecked: [...this.#notChecked].map(([check, reason]) => ({ check, reason })),
    }
  }
}

const isOfFileSystem = (error: unknown): error is NodeJS.ErrnoException =>
  isError(error) && 'syscall' in error && 'code' in error

export const RESTORE =
  'Keep the file as it is, and restore the newest backup that can be verified: meshstore backup list, meshstore restore.'
