/** The limits of these tests, far below the library's own: for a connection, and for an answer. */
const CONNECT_SECONDS = 2
const STATEMENT_MS = 1_000
/** The driver waits a second longer than the server. */
const ANSWER_MS = STATEMENT_MS + 1_000

/** One connection and one answer, and what a busy machine adds. A server that stands still goes on after 20 s: see frozen.ts. */
export const LONGEST_MS = CONNECT_SECONDS * 1_000 + ANSWER_MS + 10_000

export function withTimeouts(url: string): string {
  const limited = new URL(url)
  limited.searchParams.set('connect_timeout', String(CONNECT_SECONDS))
  limited.searchParams.set('statement_timeout', String(STATEMENT_MS))
  return limited.href
}
