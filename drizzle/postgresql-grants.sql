-- What an application's role needs once the schema is up to date: to read and write rows, and to see which migrations
-- were applied. No more: it can neither change the schema nor empty a table at a stroke.
--
-- Run it in the database as the owner of the tables, after the first migration and after each one that adds a table, an
-- application's own tables too:
--
--   psql "$DATABASE_URL" --set ON_ERROR_STOP=1 --file postgresql-grants.sql
--
-- then give the rights to the role that the application logs in with:
--
--   CREATE ROLE mesh_api LOGIN PASSWORD '…';
--   GRANT meshstore_app TO mesh_api;
--
-- Running it again changes nothing. Migrations stay with the owner; the application opens as always, since nothing is
-- pending. Before PostgreSQL 15 everybody may create tables in the schema public; there, too:
--
--   REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- Roles belong to the server: another database may have made it already, even in this moment.
DO $$
BEGIN
  CREATE ROLE meshstore_app NOLOGIN;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

GRANT USAGE ON SCHEMA public, drizzle TO meshstore_app;

-- The ledger says which migrations were applied; only who migrates writes it.
GRANT SELECT ON TABLE drizzle.__drizzle_migrations TO meshstore_app;

GRANT SELECT, INSERT, UPDATE, DELETE
  ON TABLE public.nodes,
    public.policies,
    public.path_cache,
    public.meshstore_state,
    public.path_cache_marks,
    public.path_cache_stamps,
    public.meshstore_changes,
    public.meshstore_consumers,
    public.meshstore_outcomes
  TO meshstore_app;

-- An application's own tables, which meshstore_state describes, and the ledger of its migrations, if they are there.
DO $$
DECLARE own regclass;
BEGIN
  IF to_regclass('drizzle.__app_migrations') IS NOT NULL THEN
    GRANT SELECT ON TABLE drizzle.__app_migrations TO meshstore_app;
  END IF;
  FOR own IN
    SELECT there FROM public.meshstore_state, to_regclass(format('public.%I', substr(name, length('table:') + 1))) AS there
    WHERE starts_with(name, 'table:') AND there IS NOT NULL
  LOOP
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO meshstore_app', own);
  END LOOP;
END
$$;
