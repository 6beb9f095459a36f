/** The statements after which a migration holds the lock, in a transaction. */
export const BEGINS = ['BEGIN IMMEDIATE', 'SELECT pg_advisory_xact_lock(1298495336, 1937010546)']
/** The statements with which a process asks for the lock. */
export const ASKS = ['BEGIN IMMEDIATE', 'SELECT pg_try_advisory_lock(1298495336, 1937010546) AS granted']
