/** Checks what was built, not how it was configured: bundlers leave packages outside in silence. */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { builtinModules } from 'node:module'
import { tmpdir } from 'node:os'
import { join, posix } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import type { OutputChunk } from 'rolldown'
import { type ESTree, parseSync, Visitor } from 'rolldown/utils'
import { type Bundles, DRIVERS, SHARED } from './bundle.ts'
import { filesIn } from './files.ts'

const BUILTINS: ReadonlySet<string> = new Set(builtinModules)
/** Loaded when they are needed, not with the main entry: each costs milliseconds and megabytes. */
const LAZY = [...DRIVERS, 'zod', 'yaml', 'commander']

interface Script {
  readonly imports: readonly string[]
  /** `import()` and `require()`. */
  readonly lazyImports: readonly string[]
}

export async function verify(dist: string, { main, schema, commonjs }: Bundles): Promise<void> {
  const scripts = new Map<string, Script>()
  for (const file of await filesIn(dist)) {
    const source = await readFile(join(dist, file), 'utf8')
    if (source.includes(join(dist, '..'))) fail(file, 'holds a path of this machine')
    if (/\.c?js$/.test(file)) scripts.set(file, read(file, source))
  }
  for (const chunk of main) verifySpecifiers(chunk.fileName, scripts, DRIVERS)
  for (const chunk of schema) verifySpecifiers(chunk.fileName, scripts, SHARED)
  for (const chunk of commonjs) verifySpecifiers(chunk.fileName, scripts, [...DRIVERS, ...SHARED])
  verifyStart(scripts, main)
  await verifyExports(main)
  await verifyAlone(dist)
  await verifyFirstRead(dist)
}

function fail(file: string, what: string): never {
  throw new Error(`The build is not what it should be: dist/${file} ${what}.`)
}

function read(file: string, source: string): Script {
  const { program, errors } = parseSync(file, source, { sourceType: file.endsWith('.cjs') ? 'commonjs' : 'module' })
  if (errors.length > 0) fail(file, `cannot be parsed: ${errors[0]?.message}`)
  const imports: string[] = []
  const lazyImports: string[] = []
  let functions = 0
  const enter = (): void => {
    functions++
  }
  const leave = (): void => {
    functions--
  }
  const unlessInFunction = (): void => {
    if (functions === 0) fail(file, 'has a top-level await, which require() refuses')
  }
  const literal = (node: { type: string; value?: unknown } | undefined): string =>
    node?.type === 'Literal' && typeof node.value === 'string' ? node.value : fail(file, 'loads something computed')
  new Visitor({
    ImportDeclaration: ({ source }) => void imports.push(source.value),
    ExportAllDeclaration: ({ source }) => void imports.push(source.value),
    ExportNamedDeclaration: ({ source }) => void (source && imports.push(source.value)),
    ImportExpression: ({ source }) => {
      if (!isPathOfCaller(source)) lazyImports.push(literal(source))
    },
    CallExpression: ({ callee, arguments: [argument] }) => {
      if (callee.type === 'Identifier' && /^(__)?require$/.test(callee.name)) lazyImports.push(literal(argument))
    },
    FunctionDeclaration: enter,
    'FunctionDeclaration:exit': leave,
    FunctionExpression: enter,
    'FunctionExpression:exit': leave,
    ArrowFunctionExpression: enter,
    'ArrowFunctionExpression:exit': leave,
    AwaitExpression: unlessInFunction,
    ForOfStatement: (node) => node.await && unlessInFunction(),
  }).visit(program)
  return { imports, lazyImports }
}

/** `import(pathToFileURL(path).href)`: `meshstore migrate generate` loads the application's schema. */
const isPathOfCaller = (source: ESTree.Expression): boolean =>
  source.type === 'MemberExpression' &&
  source.object.type === 'CallExpression' &&
  source.object.callee.type === 'Identifier' &&
  source.object.callee.name === 'pathToFileURL'

/** Everything that a chunk asks for is in the package, a builtin, or one of the packages given. */
function verifySpecifiers(file: string, scripts: ReadonlyMap<string, Script>, packages: readonly string[]): void {
  const script = scripts.get(file) ?? fail(file, 'was not written')
  for (const specifier of [...script.imports, ...script.lazyImports]) {
    if (specifier.startsWith('.')) {
      if (!scripts.has(target(file, specifier))) fail(file, `imports ${specifier}, which is not there`)
    } else if (!isBuiltin(specifier) && !packages.includes(packageOf(specifier))) {
      fail(file, `imports ${specifier} from outside`)
    }
  }
}

const target = (file: string, specifier: string): string => posix.join(posix.dirname(file), specifier)
const isBuiltin = (specifier: string): boolean => specifier.startsWith('node:') || BUILTINS.has(specifier)
const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')

/**
 * Checks the scripts that `import 'meshstore'` loads at once: the check of Node's version first, and nothing that can
 * wait.
 */
function verifyStart(scripts: ReadonlyMap<string, Script>, main: readonly OutputChunk[]): void {
  const chunks = new Map(main.map((chunk) => [chunk.fileName, chunk]))
  const first = scripts.get('index.js')?.imports[0]
  const check = first === undefined ? undefined : chunks.get(target('index.js', first))
  if (!check?.moduleIds.some((id) => /node-version\.ts$/.test(id))) {
    fail('index.js', "does not begin with the check of Node's version")
  }
  const pending = ['index.js']
  for (const file of pending) {
    for (const id of chunks.get(file)?.moduleIds ?? []) {
      const early = LAZY.find((name) => id.replaceAll('\\', '/').includes(`/node_modules/${name}/`))
      if (early !== undefined) fail(file, `is loaded at once and contains ${early}`)
    }
    for (const specifier of scripts.get(file)?.imports ?? []) {
      if (DRIVERS.includes(packageOf(specifier))) fail(file, `is loaded at once and imports ${specifier}`)
      const next = target(file, specifier)
      if (specifier.startsWith('.') && !pending.includes(next)) pending.push(next)
    }
  }
}

/** The bundler has not made anything public that src/index.ts has not. */
async function verifyExports(main: readonly OutputChunk[]): Promise<void> {
  const { exports = [] } = main.find(({ fileName }) => fileName === 'index.js') ?? {}
  const expected = Object.keys(await import('../../src/index.ts')).sort()
  if (expected.join() !== [...exports].sort().join()) fail('index.js', `exports ${exports}, not ${expected}`)
}

/** Uses the build where no other package but the driver can be found. */
async function verifyAlone(dist: string): Promise<void> {
  const project = join(dist, '..')
  const app = await mkdtemp(join(tmpdir(), 'meshstore-build-'))
  const installed = join(app, 'node_modules', 'meshstore')
  try {
    for (const name of ['dist', 'migrations', 'package.json']) {
      await cp(join(project, name), join(installed, name), { recursive: true })
    }
    const driver = join('node_modules', 'better-sqlite3')
    await symlink(join(project, driver), join(app, driver), 'junction')
    await cp(join(project, 'scripts', 'consumer', 'own-tables.cjs'), join(app, 'own-tables.cjs'))
    for (const script of ['app.mjs', 'app.cjs']) {
      await cp(join(project, 'scripts', 'consumer', script), join(app, script))
      await promisify(execFile)(process.execPath, [script], { cwd: app })
    }
    // Node then finds the CommonJS build, as Jest does.
    await promisify(execFile)(process.execPath, ['--no-experimental-require-module', 'app.cjs'], { cwd: app })
    await promisify(execFile)(process.execPath, [join(installed, 'dist', 'cli.js'), '--help'], { cwd: app })
  } catch (error) {
    const { stderr } = error as { stderr?: string }
    throw new Error(`The build does not work on its own.\n${stderr ?? ''}`, { cause: error })
  } finally {
    await rm(app, { recursive: true })
  }
}

/** Node compiles what is loaded before a program has its first row, which takes a quarter of a start. */
const FIRST_READ = { files: 5, bytes: 436_000 }
const FIRST_READ_PROGRAM = `
  import { registerHooks } from 'node:module'
  const loaded = []
  registerHooks({
    load(url, context, next) {
      const result = next(url, context)
      if (url.includes('/dist/')) loaded.push([url.split('/dist/')[1], result.source.length])
      return result
    },
  })
  const { openStorage } = await import(process.argv[1])
  const store = await openStorage('sqlite:' + process.argv[2])
  await store.nodes.list({ limit: 1 })
  await store.close()
  console.log(JSON.stringify(loaded))`

/** Opening a SQLite file that is up to date, and the first read, load few files and nothing that can wait. */
async function verifyFirstRead(dist: string): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'meshstore-build-'))
  try {
    const file = join(folder, 'mesh.db')
    const first = async (): Promise<readonly (readonly [string, number])[]> => {
      const options = ['--input-type=module', '--eval', FIRST_READ_PROGRAM]
      const { stdout } = await promisify(execFile)(process.execPath, [
        ...options,
        pathToFileURL(join(dist, 'index.js')).href,
        file,
      ])
      return JSON.parse(stdout)
    }
    // The first time applies the migrations.
    await first()
    const loaded = await first()
    const bytes = loaded.reduce((sum, [, each]) => sum + each, 0)
    const names = loaded.map(([name]) => name).join(', ')
    if (loaded.length === 0 || loaded.length > FIRST_READ.files || bytes > FIRST_READ.bytes)
      fail('index.js', `loads ${loaded.length} files with ${bytes} bytes before the first row: ${names}`)
  } finally {
    await rm(folder, { recursive: true })
  }
}
