/** The limits of these tests, far below the library's own: for a connection, and for an answer. */
const CONNECT_SECONDS = 2
const STATEMENT_MS = 1_000
/** The driver waits a second longer than the server. */
const ANSWER_MS = STATEMENT_MS + 1_000

/** One connection and one answer, and what a busy machine adds. A server that stands still goes on after 20 s: see frozen.ts. */
export const LONGEST_MS = CONNECT_SECONDS * 1_000 + ANSWER_MS + 10_000

/** The library's own limit for an answer is 30 s: a call that takes longer than this has not heeded the ones above. */
export const UNHEEDED_MS = 28_000

/** For a server that answers, however busy the machine is: no limit decides. */
export function patiently(url: string): string {
  const patient = new URL(url)
  patient.searchParams.set('connect_timeout', '60')
  patient.searchParams.set('statement_timeout', '60000')
  return patient.href
}

export function withTimeouts(url: string): string {
  const limited = new URL(url)
  limited.searchParams.set('connect_timeout', String(CONNECT_SECONDS))
  limited.searchParams.set('statement_timeout', String(STATEMENT_MS))
  return limited.href
}
