/** `npx drizzle-kit migrate` applies the migrations of the installed package to the database of DATABASE_URL. */
export { default } from 'meshstore/drizzle-config'
