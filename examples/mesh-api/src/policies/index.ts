export { PolicyEngine } from './engine.ts'
export { type ParsePolicy, type PolicyRules, type Problem, readRules, rulesOf } from './rules.ts'
