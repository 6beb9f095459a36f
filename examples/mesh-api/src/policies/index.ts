export { PolicyEngine } from './engine.ts'
export { type PolicyRules, type Problem, readRules } from './rules.ts'
