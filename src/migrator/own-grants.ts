/** Rights of the application's role on PostgreSQL. */
import { dollarQuoted } from '../schema/described.ts'

/** The role of the grants that meshstore ships. */
export const APP_ROLE = 'meshstore_app'

/** Grants a right to the application's role, if that role exists. */
export const grantSql = (what: string): string =>
  `DO ${dollarQuoted('do', ` BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = '${APP_ROLE}') THEN GRANT ${what} TO ${APP_ROLE}; END IF; END `)}`
