/** Debian's `moto_server` as an S3 server on loopback. */
import { spawn, spawnSync } from 'node:child_process'
import { createServer } from 'node:net'

/** The one on the PATH may be a name without a program behind it. */
const program = ['moto_server', '/usr/bin/moto_server'].find(
  (name) => spawnSync(name, ['--help'], { timeout: 60_000 }).status === 0,
)
export const hasMoto = program !== undefined
if (!hasMoto) process.stderr.write('NOT TESTED: buckets. Install python3-moto and python3-flask-cors.\n')

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

export const KEYS = { AWS_ACCESS_KEY_ID: 'replica-key', AWS_SECRET_ACCESS_KEY: 'replica-secret' }

export async function startMoto(): Promise<{
  endpoint: string
  makeBucket: (name: string) => Promise<void>
  stop: () => void
}> {
  const port = await freePort()
  const server = spawn(program ?? 'moto_server', ['-H', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
  const endpoint = `http://127.0.0.1:${port}`
  for (let answered = false; !answered; ) {
    if (server.exitCode !== null) throw new Error(`moto_server ended with ${server.exitCode}.`)
    answered = await fetch(endpoint).then(
      async (response) => (await response.arrayBuffer()) !== undefined,
      () => new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 50)),
    )
  }
  return {
    endpoint,
    makeBucket: async (name) => {
      const { status } = await fetch(`${endpoint}/${name}`, { method: 'PUT' })
      if (status !== 200) throw new Error(`The bucket was not made: ${status}.`)
    },
    stop: () => void server.kill(),
  }
}
