/** The statements with which a migration takes the lock. */
export const BEGINS = ['BEGIN IMMEDIATE', 'SELECT pg_advisory_xact_lock(1298495336, 1937010546)']
