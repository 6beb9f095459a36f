/** The shapes of what goes over the wire, as JSON Schema: for the checks, the types and the OpenAPI document. */
import { type Static, type TSchema, Type } from 'typebox'

/** Each has a name, by which the OpenAPI document refers to it. */
const named = <T extends TSchema>($id: string, schema: T): T & { $id: string } => ({ ...schema, $id })
export const ref = <T extends TSchema & { $id: string }>(schema: T) =>
  Type.Unsafe<Static<T>>({ $ref: `${schema.$id}#` })

const time = Type.String({ format: 'date-time' })
const texts = Type.Array(Type.String())
const orNull = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()])
const closed = { additionalProperties: false }
/** Everything else about a value is checked by the storage, which says what is wrong with it. */
export const Id = Type.String({ minLength: 1, maxLength: 255, description: 'Any Unicode text without NUL' })

export const Problem = named(
  'Problem',
  Type.Object(
    {
      type: Type.String(),
      title: Type.String(),
      status: Type.Integer(),
      detail: Type.String(),
      code: Type.Optional(Type.String({ description: "The storage's error code, which is stable" })),
      issues: Type.Optional(Type.Array(Type.Object({ path: Type.String(), message: Type.String() }))),
    },
    { description: 'RFC 9457' },
  ),
)

export const Node = named(
  'Node',
  Type.Object({
    node_id: Type.String(),
    interfaces: texts,
    protocols: texts,
    started: Type.Boolean(),
    routes_discovered: Type.Integer(),
    created_at: time,
    updated_at: time,
  }),
)
export const NewNode = named(
  'NewNode',
  Type.Object(
    { node_id: Id, interfaces: texts, protocols: texts, started: Type.Optional(Type.Boolean()) },
    { ...closed, examples: [{ node_id: 'n1', interfaces: ['eth0'], protocols: ['batman-adv'] }] },
  ),
)
export const NodePatch = named(
  'NodePatch',
  Type.Object(
    {
      interfaces: Type.Optional(texts),
      protocols: Type.Optional(texts),
      started: Type.Optional(Type.Boolean()),
    },
    { ...closed, minProperties: 1 },
  ),
)

const cost = Type.Number({ minimum: 0, description: 'What paths keep small' })
const kind = orNull(Type.String({ description: 'Like wifi or vpn' }))
export const Link = named(
  'Link',
  Type.Object({
    link_id: Type.String(),
    source: Type.String(),
    target: Type.String(),
    cost: Type.Number(),
    kind: orNull(Type.String()),
    created_at: time,
    updated_at: time,
  }),
)
export const NewLink = named(
  'NewLink',
  Type.Object(
    { source: Id, target: Id, cost, kind: Type.Optional(kind) },
    { ...closed, examples: [{ source: 'n1', target: 'n2', cost: 1.5, kind: 'wifi' }] },
  ),
)
export const LinkPatch = named(
  'LinkPatch',
  Type.Object({ cost: Type.Optional(cost), kind: Type.Optional(kind) }, { ...closed, minProperties: 1 }),
)
export const Neighbours = named(
  'Neighbours',
  Type.Object({
    items: Type.Array(
      Type.Object({
        link_id: Type.String(),
        node_id: Type.String({ description: 'The node at the other end' }),
        label: Type.String({ description: 'What a person calls it' }),
        started: Type.Boolean(),
        cost: Type.Number(),
        kind: orNull(Type.String()),
      }),
    ),
  }),
)

const policyMembers = { policy_id: Type.String(), rules_count: Type.Integer(), created_at: time, updated_at: time }
const yaml = Type.String({ description: 'YAML: rules, and default' })
export const PolicySummary = named('PolicySummary', Type.Object(policyMembers))
export const Policy = named('Policy', Type.Object({ ...policyMembers, yaml_content: yaml }))
export const NewPolicy = named('NewPolicy', Type.Object({ policy_id: Id, yaml_content: yaml }, closed))
export const PolicyText = named('PolicyText', Type.Object({ yaml_content: yaml }, closed))

const next = orNull(Type.String({ description: 'Where the next page is' }))
export const NodePage = named('NodePage', Type.Object({ items: Type.Array(ref(Node)), next }))
export const LinkPage = named('LinkPage', Type.Object({ items: Type.Array(ref(Link)), next }))
export const PolicyPage = named('PolicyPage', Type.Object({ items: Type.Array(ref(PolicySummary)), next }))

const number = Type.Number()
const optionalNumber = Type.Optional(number)
export const Path = named(
  'Path',
  Type.Object({
    nodes: texts,
    path_id: Type.String(),
    total_weight: number,
    composite_score: Type.Number({ description: 'Lower is better' }),
    latency_sum_ms: optionalNumber,
    reliability_product: optionalNumber,
    disjoint_group: Type.Optional(Type.Integer({ description: 'Paths of different groups share no link' })),
    created_at: time,
  }),
)
export const Paths = named(
  'Paths',
  Type.Object({
    source: Type.String(),
    destination: Type.String(),
    primary: Type.Array(ref(Path), { description: 'Up to k paths that share no link, of least total weight' }),
    alternatives: Type.Array(ref(Path)),
    generated_at: Type.Number({ description: 'Seconds since the epoch' }),
    stats: Type.Object({ calc_latency_ms: number, policy_filtered: Type.Integer() }),
    cache: Type.Object({
      // An enum: the serializer would ask a validator which member of a union it has.
      origin: Type.Unsafe<'hit' | 'stale' | 'computed'>({ type: 'string', enum: ['hit', 'stale', 'computed'] }),
      expires_at: time,
      milliseconds: Type.Number({ description: 'How long it took to answer' }),
    }),
  }),
)

export const Health = named(
  'Health',
  Type.Object({
    status: Type.Union([Type.Literal('ok'), Type.Literal('failing')]),
    timestamp: time,
    dialect: Type.String(),
    can_read: Type.Boolean(),
    can_write: Type.Boolean(),
    read_ms: number,
    write_ms: number,
    last_backup: orNull(time),
    problems: Type.Array(Type.Object({ code: Type.String(), message: Type.String() })),
    nodes: Type.Optional(Type.Integer()),
    policies: Type.Optional(Type.Integer()),
    cached_paths: Type.Optional(Type.Integer()),
    schema_version: Type.Optional(Type.String()),
  }),
)

const whole = Type.Integer({ minimum: 0 })
const overTenSeconds = (description: string) =>
  orNull(Type.Number({ description: `${description} Null: there was none` }))
export const ActivitySamples = named(
  'ActivitySamples',
  Type.Object({
    now: Type.Number({ description: "The server's time, in milliseconds since the epoch" }),
    kept_seconds: whole,
    samples: Type.Array(
      Type.Object({
        at: Type.Number({ description: 'When the second began, in milliseconds since the epoch' }),
        statements: whole,
        commits: whole,
        waiting_writes: Type.Integer({ minimum: 0, description: 'The most writes that waited at once' }),
        statement_p99_ms: overTenSeconds('Of the last ten seconds.'),
        commit_p99_ms: overTenSeconds('Of the last ten seconds.'),
        hit_rate: overTenSeconds('Share of paths that the cache answered in the last ten seconds.'),
      }),
    ),
  }),
)

export const MeshMap = named(
  'MeshMap',
  Type.Object({
    label: Type.String(),
    metric: orNull(Type.String({ description: "What a link's weight is" })),
    nodes: Type.Array(Type.Object({ id: Type.String(), label: Type.String(), x: number, y: number })),
    links: Type.Array(Type.Object({ source: Type.String(), target: Type.String(), weight: number })),
  }),
)

export const NAMED = [
  Problem,
  Node,
  NewNode,
  NodePatch,
  PolicySummary,
  Policy,
  NewPolicy,
  PolicyText,
  NodePage,
  Link,
  NewLink,
  LinkPatch,
  LinkPage,
  Neighbours,
  PolicyPage,
  Path,
  Paths,
  Health,
  ActivitySamples,
  MeshMap,
]
