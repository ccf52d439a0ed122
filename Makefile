# 中文与英文说明：make help。 Every target says what it does: make help.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow up down reset status bench check mutants errors import-tables lock format clean \
        env env-run env-contracts env-all

# Tools that bootstrap had to bring (node where there is none) come first; empty otherwise.
export PATH := $(CURDIR)/.tools/bin:$(PATH)
export CASELEDGER_HOME ?= $(CURDIR)/.caseledger
PYTHON_ENV := .venv/bin
CASELEDGER := $(PYTHON_ENV)/caseledger
SUITE := $(PYTHON_ENV)/python -m scripts.suite
VALIDATORS ?= 1

help: ## 列出全部目标 / list every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: env-run ## 一页看懂：起四节点链，存证，断网验证，篡改被指出 / the story in a page, on a real 4-validator chain
	@$(CASELEDGER) demo

up: env-run ## 启动数据库、链和网关（VALIDATORS=4）/ start database, chain and gateway
	@$(CASELEDGER) up --validators $(VALIDATORS)

down: env-run ## 停止，数据保留 / stop; data is kept
	@$(CASELEDGER) down

reset: env-run ## 停止并删除数据，先询问 / stop and delete the data; asks first
	@$(CASELEDGER) reset

status: env-run ## 现在运行着什么 / what runs now
	@$(CASELEDGER) status

test: env-all ## 全部测试（慢测试除外）/ the whole suite but the slow marks
	@$(SUITE) test

test-slow: env-all ## 长时间故障与浸泡测试 / long fault and soak runs
	@$(SUITE) test-slow

check: env-all ## 静态检查：格式、类型、依赖方向、合约、文档 / lint, types, import rules, contracts, docs
	@$(SUITE) check

bench: env-all ## 性能表，与同类并列（BENCH="--quick"）/ speed and memory tables beside peers
	@$(PYTHON_ENV)/python -m benchmarks $(BENCH)

mutants: env-all ## 每条规则一个破坏补丁，指定的测试必须变红 / break each rule; its named test must go red
	@$(PYTHON_ENV)/python -m scripts.mutants $(MUTANTS)

errors: env ## 由代码重写 docs/errors.md / rewrite docs/errors.md from the code
	@$(PYTHON_ENV)/python -m scripts.errors_doc --write

import-tables: env ## 由代码重写集成者文档中的导入表 / rewrite the import tables of docs/integrator.md
	@$(PYTHON_ENV)/python -m scripts.import_doc --write

format: env ## 按规范排版 / format Python (and Solidity where forge is present)
	@$(PYTHON_ENV)/ruff check --fix --quiet . ; $(PYTHON_ENV)/ruff format --quiet .
	@if [ -x .tools/bin/forge ]; then .tools/bin/forge fmt; fi

lock: env ## 重新解析并锁定依赖 / resolve and lock the dependencies again
	@$(PYTHON_ENV)/python -m scripts.lock

clean: ## 删除环境与构建产物（不动数据）/ delete environments and build output, never data
	@rm -rf .venv .tools .bootstrap node_modules contracts/out contracts/cache artifacts cache build *.egg-info \
	  .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

env-run:
	@scripts/bootstrap run
env:
	@scripts/bootstrap dev
env-contracts:
	@scripts/bootstrap npm slither halmos
env-all:
	@scripts/bootstrap dev npm slither halmos
