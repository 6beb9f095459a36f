import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import {
  type Meshstore,
  type NewPolicy as NewPolicyRow,
  type PolicyRepository,
  type Policy as PolicyRow,
  policyDocuments,
  StorageError,
  type StorageErrorCode,
  type PolicySummary as SummaryRow,
} from 'meshstore'
import { type Static, Type } from 'typebox'
import { rulesOf } from '../policies/index.ts'
import { changed, etagOf, expectedVersion, ifUnchanged } from './etags.ts'
import { pageOf, pageQuery } from './pages.ts'
import { HttpProblem } from './problems.ts'
import { problems, versioned } from './responses.ts'
import { NewPolicy, Policy, PolicyPage, type PolicySummary, PolicyText, ref } from './schemas.ts'

const tags = ['policies']
const params = Type.Object({ id: Type.String() })
const headers = Type.Object({ 'if-match': Type.Optional(Type.String({ description: 'An ETag: only this version' })) })

const summary = (policy: SummaryRow): Static<typeof PolicySummary> => ({
  policy_id: policy.policyId,
  rules_count: policy.rulesCount,
  created_at: policy.createdAt.toISOString(),
  updated_at: policy.updatedAt.toISOString(),
})
const json = (policy: PolicyRow): Static<typeof Policy> => ({ ...summary(policy), yaml_content: policy.yamlContent })

/** A text of 1 MiB, the storage's limit, takes up to twice as much as JSON. */
const bodyLimit = 2 * 1_048_576 + 4_096

export const policyRoutes =
  (store: Meshstore): FastifyPluginAsyncTypebox =>
  async (app) => {
    app.post(
      '/policies',
      {
        bodyLimit,
        schema: {
          tags,
          summary: 'Add a policy',
          body: ref(NewPolicy),
          response: { 201: versioned('Added', ref(Policy)), ...problems(400, 409, 413, 415) },
        },
      },
      async ({ body: { policy_id: policyId, yaml_content: yamlContent } }, reply) => {
        await refuseProblems(yamlContent)
        const policy = await store.policies.create({ policyId, yamlContent })
        reply
          .code(201)
          .header('location', `/policies/${encodeURIComponent(policyId)}`)
          .header('etag', etagOf(policy))
        return json(policy)
      },
    )

    app.get(
      '/policies',
      {
        schema: {
          tags,
          summary: 'List policies, in the order of their ids, which is that of their rules; without the texts',
          querystring: Type.Object(pageQuery),
          response: { 200: ref(PolicyPage), ...problems(400) },
        },
      },
      async ({ url, query: { limit, after } }) =>
        pageOf(url, limit, (limit) => store.policies.list({ limit, after }), {
          id: ({ policyId }) => policyId,
          json: summary,
        }),
    )

    app.get(
      '/policies/:id',
      {
        schema: {
          tags,
          summary: 'One policy, with its text',
          params,
          response: { 200: versioned('The policy', ref(Policy)), ...problems(400, 404) },
        },
      },
      async ({ params: { id } }, reply) => {
        const policy = await store.policies.get(id)
        if (policy === undefined) throw none(id)
        reply.header('etag', etagOf(policy))
        return json(policy)
      },
    )

    app.put(
      '/policies/:id',
      {
        bodyLimit,
        schema: {
          tags,
          summary: "Replace a policy's text, or add the policy",
          params,
          headers,
          body: ref(PolicyText),
          response: {
            200: versioned('The policy as it is now', ref(Policy)),
            201: versioned('Added', ref(Policy)),
            ...problems(400, 409, 412, 413, 415),
          },
        },
      },
      async ({ params: { id }, headers, body: { yaml_content: yamlContent } }, reply) => {
        const ifUpdatedAt = expectedVersion(headers['if-match'])
        await refuseProblems(yamlContent)
        const { policy, isNew } =
          headers['if-match'] === undefined
            ? await put(store.policies, { policyId: id, yamlContent })
            : { policy: await replaced(store.policies, id, yamlContent, ifUpdatedAt), isNew: false }
        if (isNew) reply.code(201).header('location', `/policies/${encodeURIComponent(id)}`)
        reply.header('etag', etagOf(policy))
        return json(policy)
      },
    )

    app.delete(
      '/policies/:id',
      {
        schema: {
          tags,
          summary: 'Remove a policy',
          params,
          headers,
          response: { 204: Type.Null({ description: 'Removed' }), ...problems(400, 404, 409, 412) },
        },
      },
      async ({ params: { id }, headers }, reply) => {
        const version = expectedVersion(headers['if-match'])
        await store.transaction(async (tx) => {
          const policy = version && (await tx.policies.get(id))
          if (policy && etagOf(policy) !== etagOf({ updatedAt: version })) throw changed()
          if (!(await tx.policies.delete(id))) throw none(id)
        })
        return reply.code(204).send(null)
      },
    )
  }

/** Adds the policy, or replaces its text, whatever others do meanwhile. */
async function put(policies: PolicyRepository, policy: NewPolicyRow): Promise<{ policy: PolicyRow; isNew: boolean }> {
  for (;;) {
    try {
      return { policy: await policies.create(policy), isNew: true }
    } catch (error) {
      if (!isCode(error, 'ALREADY_EXISTS')) throw error
    }
    try {
      return { policy: await policies.update(policy.policyId, { yamlContent: policy.yamlContent }), isNew: false }
    } catch (error) {
      if (!isCode(error, 'NOT_FOUND')) throw error
    }
  }
}

/** `If-Match` asks for a version that exists, `*` for any. */
async function replaced(policies: PolicyRepository, id: string, yamlContent: string, ifUpdatedAt: Date | undefined) {
  try {
    return await ifUnchanged(ifUpdatedAt, policies.update(id, { yamlContent }, { ifUpdatedAt }))
  } catch (error) {
    throw isCode(error, 'NOT_FOUND') ? changed() : error
  }
}

const isCode = (error: unknown, code: StorageErrorCode): boolean => error instanceof StorageError && error.code === code

/** The storage takes any YAML; rules that the engine could only read as the stricter thing are refused here. */
async function refuseProblems(yamlContent: string): Promise<void> {
  const { problems } = await rulesOf(yamlContent, policyDocuments)
  const issues = problems.filter(({ path }) => path !== '')
  if (issues.length === 0) return
  throw new HttpProblem(
    400,
    'The policy was refused.',
    issues.map(({ path, message }) => ({ path: `yaml_content.${path}`, message })),
  )
}

const none = (id: string): HttpProblem => new HttpProblem(404, `There is no policy ${JSON.stringify(id)}.`)
