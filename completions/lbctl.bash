# bash completion of lbctl, made by `lbctl completion bash`. Do not edit.

_lbctl() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} path=lbctl word skip= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $skip ]]; then skip=; continue; fi
        case "$path $word" in
            "lbctl run-controller") path="lbctl run-controller" ;;
            "lbctl run-speaker") path="lbctl run-speaker" ;;
            "lbctl where-is") path="lbctl where-is" ;;
            "lbctl services") path="lbctl services" ;;
            "lbctl pools") path="lbctl pools" ;;
            "lbctl drain") path="lbctl drain" ;;
            "lbctl undrain") path="lbctl undrain" ;;
            "lbctl move") path="lbctl move" ;;
            "lbctl rebalance") path="lbctl rebalance" ;;
            "lbctl history") path="lbctl history" ;;
            "lbctl reserve") path="lbctl reserve" ;;
            "lbctl quarantine") path="lbctl quarantine" ;;
            "lbctl ledger") path="lbctl ledger" ;;
            "lbctl status") path="lbctl status" ;;
            "lbctl validate") path="lbctl validate" ;;
            "lbctl diff") path="lbctl diff" ;;
            "lbctl convert") path="lbctl convert" ;;
            "lbctl explain") path="lbctl explain" ;;
            "lbctl schema") path="lbctl schema" ;;
            "lbctl lab") path="lbctl lab" ;;
            "lbctl completion") path="lbctl completion" ;;
            "lbctl version") path="lbctl version" ;;
            "lbctl ledger export") path="lbctl ledger export" ;;
            "lbctl ledger import") path="lbctl ledger import" ;;
            "lbctl ledger check") path="lbctl ledger check" ;;
            "lbctl lab up") path="lbctl lab up" ;;
            "lbctl lab down") path="lbctl lab down" ;;
            "lbctl lab status") path="lbctl lab status" ;;
            "lbctl lab exec") path="lbctl lab exec" ;;
            "lbctl lab apply") path="lbctl lab apply" ;;
            "lbctl lab delete") path="lbctl lab delete" ;;
            "lbctl lab kill") path="lbctl lab kill" ;;
            "lbctl lab cut") path="lbctl lab cut" ;;
            "lbctl lab heal") path="lbctl lab heal" ;;
            "lbctl lab start") path="lbctl lab start" ;;
            "lbctl lab stop") path="lbctl lab stop" ;;
            "lbctl lab logs") path="lbctl lab logs" ;;
            "lbctl lab demo") path="lbctl lab demo" ;;
            "lbctl run-controller -c"|"lbctl run-controller --config"|"lbctl run-controller --source"|"lbctl run-controller --state"|"lbctl run-controller --cluster"|"lbctl run-controller --key-file"|"lbctl run-controller --interface"|"lbctl run-controller --socket"|"lbctl run-controller --listen"|"lbctl run-controller --lb-class"|"lbctl run-controller --log-format"|"lbctl run-controller --log-level") skip=1 ;;
            "lbctl run-speaker --node"|"lbctl run-speaker --published"|"lbctl run-speaker --state"|"lbctl run-speaker --interface"|"lbctl run-speaker --proxy"|"lbctl run-speaker --cluster"|"lbctl run-speaker --key-file"|"lbctl run-speaker --preset"|"lbctl run-speaker --port"|"lbctl run-speaker --peer"|"lbctl run-speaker --ownership-mode"|"lbctl run-speaker --start-wait"|"lbctl run-speaker --recheck-time"|"lbctl run-speaker --handover-time"|"lbctl run-speaker --socket"|"lbctl run-speaker --listen"|"lbctl run-speaker --log-format"|"lbctl run-speaker --log-level") skip=1 ;;
            "lbctl where-is --via"|"lbctl where-is -i"|"lbctl where-is --interface"|"lbctl where-is --wait"|"lbctl where-is -o"|"lbctl where-is --output"|"lbctl where-is --state"|"lbctl where-is --published") skip=1 ;;
            "lbctl services -n"|"lbctl services --namespace"|"lbctl services --via"|"lbctl services --socket"|"lbctl services -o"|"lbctl services --output"|"lbctl services --state"|"lbctl services --published") skip=1 ;;
            "lbctl pools --via"|"lbctl pools --socket"|"lbctl pools -o"|"lbctl pools --output"|"lbctl pools --state"|"lbctl pools --published") skip=1 ;;
            "lbctl drain --flow-time"|"lbctl drain --via"|"lbctl drain --socket"|"lbctl drain -o"|"lbctl drain --output") skip=1 ;;
            "lbctl undrain --via"|"lbctl undrain --socket"|"lbctl undrain -o"|"lbctl undrain --output") skip=1 ;;
            "lbctl move --to"|"lbctl move --via"|"lbctl move --socket"|"lbctl move -o"|"lbctl move --output") skip=1 ;;
            "lbctl rebalance --via"|"lbctl rebalance --socket"|"lbctl rebalance -o"|"lbctl rebalance --output") skip=1 ;;
            "lbctl history --since"|"lbctl history --limit"|"lbctl history --via"|"lbctl history --state"|"lbctl history --socket"|"lbctl history -o"|"lbctl history --output") skip=1 ;;
            "lbctl reserve --ip"|"lbctl reserve --pool"|"lbctl reserve --family"|"lbctl reserve --state"|"lbctl reserve --socket"|"lbctl reserve -o"|"lbctl reserve --output") skip=1 ;;
            "lbctl quarantine --clear"|"lbctl quarantine --state"|"lbctl quarantine --socket"|"lbctl quarantine -o"|"lbctl quarantine --output") skip=1 ;;
            "lbctl ledger export --state") skip=1 ;;
            "lbctl ledger import --state") skip=1 ;;
            "lbctl ledger check --state") skip=1 ;;
            "lbctl status --via"|"lbctl status --socket"|"lbctl status -o"|"lbctl status --output") skip=1 ;;
            "lbctl validate -o"|"lbctl validate --output") skip=1 ;;
            "lbctl diff --against"|"lbctl diff --state"|"lbctl diff --socket"|"lbctl diff --lb-class"|"lbctl diff -o"|"lbctl diff --output") skip=1 ;;
            "lbctl convert -n"|"lbctl convert --namespace") skip=1 ;;
            "lbctl explain -o"|"lbctl explain --output") skip=1 ;;
            "lbctl lab up --name"|"lbctl lab up --nodes"|"lbctl lab up -o"|"lbctl lab up --output") skip=1 ;;
            "lbctl lab down --name") skip=1 ;;
            "lbctl lab status --name"|"lbctl lab status -o"|"lbctl lab status --output") skip=1 ;;
            "lbctl lab exec --name") skip=1 ;;
            "lbctl lab apply --name") skip=1 ;;
            "lbctl lab delete --name") skip=1 ;;
            "lbctl lab kill --which"|"lbctl lab kill -s"|"lbctl lab kill --signal"|"lbctl lab kill --name") skip=1 ;;
            "lbctl lab cut --how"|"lbctl lab cut --name") skip=1 ;;
            "lbctl lab heal --name") skip=1 ;;
            "lbctl lab start --name") skip=1 ;;
            "lbctl lab stop --name") skip=1 ;;
            "lbctl lab logs --name") skip=1 ;;
            "lbctl lab demo -o"|"lbctl lab demo --output"|"lbctl lab demo --configs") skip=1 ;;
        esac
    done
    case "$path $prev" in
        "lbctl run-controller -c"|"lbctl run-controller --config") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl run-controller --source") COMPREPLY=($(compgen -W "files" -- "$cur")); return ;;
        "lbctl run-controller --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl run-controller --cluster") return ;;
        "lbctl run-controller --key-file") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl run-controller --interface") return ;;
        "lbctl run-controller --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl run-controller --listen") return ;;
        "lbctl run-controller --lb-class") return ;;
        "lbctl run-controller --log-format") COMPREPLY=($(compgen -W "console json" -- "$cur")); return ;;
        "lbctl run-controller --log-level") COMPREPLY=($(compgen -W "debug info warning error" -- "$cur")); return ;;
        "lbctl run-speaker --node") return ;;
        "lbctl run-speaker --published") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl run-speaker --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl run-speaker --interface") return ;;
        "lbctl run-speaker --proxy") COMPREPLY=($(compgen -W "nftables none" -- "$cur")); return ;;
        "lbctl run-speaker --cluster") return ;;
        "lbctl run-speaker --key-file") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl run-speaker --preset") COMPREPLY=($(compgen -W "fast default relaxed" -- "$cur")); return ;;
        "lbctl run-speaker --port") return ;;
        "lbctl run-speaker --peer") return ;;
        "lbctl run-speaker --ownership-mode") COMPREPLY=($(compgen -W "availability safety" -- "$cur")); return ;;
        "lbctl run-speaker --start-wait") return ;;
        "lbctl run-speaker --recheck-time") return ;;
        "lbctl run-speaker --handover-time") return ;;
        "lbctl run-speaker --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl run-speaker --listen") return ;;
        "lbctl run-speaker --log-format") COMPREPLY=($(compgen -W "console json" -- "$cur")); return ;;
        "lbctl run-speaker --log-level") COMPREPLY=($(compgen -W "debug info warning error" -- "$cur")); return ;;
        "lbctl where-is --via") return ;;
        "lbctl where-is -i"|"lbctl where-is --interface") return ;;
        "lbctl where-is --wait") return ;;
        "lbctl where-is -o"|"lbctl where-is --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl where-is --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl where-is --published") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl services -n"|"lbctl services --namespace") return ;;
        "lbctl services --via") return ;;
        "lbctl services --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl services -o"|"lbctl services --output") COMPREPLY=($(compgen -W "table wide json yaml name" -- "$cur")); return ;;
        "lbctl services --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl services --published") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl pools --via") return ;;
        "lbctl pools --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl pools -o"|"lbctl pools --output") COMPREPLY=($(compgen -W "table wide json yaml name" -- "$cur")); return ;;
        "lbctl pools --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl pools --published") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl drain --flow-time") return ;;
        "lbctl drain --via") return ;;
        "lbctl drain --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl drain -o"|"lbctl drain --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl undrain --via") return ;;
        "lbctl undrain --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl undrain -o"|"lbctl undrain --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl move --to") return ;;
        "lbctl move --via") return ;;
        "lbctl move --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl move -o"|"lbctl move --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl rebalance --via") return ;;
        "lbctl rebalance --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl rebalance -o"|"lbctl rebalance --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl history --since") return ;;
        "lbctl history --limit") return ;;
        "lbctl history --via") return ;;
        "lbctl history --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl history --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl history -o"|"lbctl history --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl reserve --ip") return ;;
        "lbctl reserve --pool") return ;;
        "lbctl reserve --family") return ;;
        "lbctl reserve --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl reserve --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl reserve -o"|"lbctl reserve --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl quarantine --clear") return ;;
        "lbctl quarantine --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl quarantine --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl quarantine -o"|"lbctl quarantine --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl ledger export --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl ledger import --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl ledger check --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl status --via") return ;;
        "lbctl status --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl status -o"|"lbctl status --output") COMPREPLY=($(compgen -W "table wide json yaml" -- "$cur")); return ;;
        "lbctl validate -o"|"lbctl validate --output") COMPREPLY=($(compgen -W "human concise json sarif github" -- "$cur")); return ;;
        "lbctl diff --against") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl diff --state") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
        "lbctl diff --socket") compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur")); return ;;
        "lbctl diff --lb-class") return ;;
        "lbctl diff -o"|"lbctl diff --output") COMPREPLY=($(compgen -W "human json" -- "$cur")); return ;;
        "lbctl convert -n"|"lbctl convert --namespace") return ;;
        "lbctl explain -o"|"lbctl explain --output") COMPREPLY=($(compgen -W "human json" -- "$cur")); return ;;
        "lbctl lab up --name") return ;;
        "lbctl lab up --nodes") return ;;
        "lbctl lab up -o"|"lbctl lab up --output") COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        "lbctl lab down --name") return ;;
        "lbctl lab status --name") return ;;
        "lbctl lab status -o"|"lbctl lab status --output") COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        "lbctl lab exec --name") return ;;
        "lbctl lab apply --name") return ;;
        "lbctl lab delete --name") return ;;
        "lbctl lab kill --which") COMPREPLY=($(compgen -W "speaker work pulse wire" -- "$cur")); return ;;
        "lbctl lab kill -s"|"lbctl lab kill --signal") return ;;
        "lbctl lab kill --name") return ;;
        "lbctl lab cut --how") COMPREPLY=($(compgen -W "carrier silent" -- "$cur")); return ;;
        "lbctl lab cut --name") return ;;
        "lbctl lab heal --name") return ;;
        "lbctl lab start --name") return ;;
        "lbctl lab stop --name") return ;;
        "lbctl lab logs --name") return ;;
        "lbctl lab demo -o"|"lbctl lab demo --output") COMPREPLY=($(compgen -W "table json" -- "$cur")); return ;;
        "lbctl lab demo --configs") compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur")); return ;;
    esac
    case "$path" in
        "lbctl")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--version -h --help" -- "$cur"))
            else COMPREPLY=($(compgen -W "run-controller run-speaker where-is services pools drain undrain move rebalance history reserve quarantine ledger status validate diff convert explain schema lab completion version" -- "$cur"))
            fi ;;
        "lbctl run-controller")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-c --config --source --state --cluster --key-file --interface --no-heartbeat --socket --listen --lb-class --log-format --log-level -h --help" -- "$cur"))
            fi ;;
        "lbctl run-speaker")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--node --published --state --interface --proxy --cluster --key-file --preset --port --peer --ownership-mode --start-wait --recheck-time --handover-time --socket --listen --restart --no-restart --log-format --log-level -h --help" -- "$cur"))
            fi ;;
        "lbctl where-is")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--via -i --interface --wait --why -w --watch -o --output --state --published -h --help" -- "$cur"))
            else COMPREPLY=($(compgen -W "$(lbctl services -o name 2>/dev/null)" -- "$cur"))
            fi ;;
        "lbctl services")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-n --namespace --pending --via --socket -o --output --state --published -h --help" -- "$cur"))
            fi ;;
        "lbctl pools")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--via --socket -o --output --state --published -h --help" -- "$cur"))
            fi ;;
        "lbctl drain")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--self --stop --force --flow-time --via --socket -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl undrain")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--self --via --socket -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl move")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--to --release --via --socket -o --output -h --help" -- "$cur"))
            else COMPREPLY=($(compgen -W "$(lbctl services -o name 2>/dev/null)" -- "$cur"))
            fi ;;
        "lbctl rebalance")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--via --socket -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl history")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--since --limit --via --state --socket -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl reserve")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--ip --pool --family --remove --state --socket -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl quarantine")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--clear --state --socket -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl ledger")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-h --help" -- "$cur"))
            else COMPREPLY=($(compgen -W "export import check" -- "$cur"))
            fi ;;
        "lbctl ledger export")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--state -h --help" -- "$cur"))
            fi ;;
        "lbctl ledger import")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--state --replace -h --help" -- "$cur"))
            fi ;;
        "lbctl ledger check")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--state -h --help" -- "$cur"))
            fi ;;
        "lbctl status")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--via --socket -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl validate")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-o --output --strict --show-allowed -h --help" -- "$cur"))
            else compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))
            fi ;;
        "lbctl diff")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--against --state --patch --socket --lb-class -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl convert")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-n --namespace -h --help" -- "$cur"))
            else compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))
            fi ;;
        "lbctl explain")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl schema")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-h --help" -- "$cur"))
            fi ;;
        "lbctl lab")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-h --help" -- "$cur"))
            else COMPREPLY=($(compgen -W "up down status exec apply delete kill cut heal start stop logs demo" -- "$cur"))
            fi ;;
        "lbctl lab up")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name --nodes --daemons --no-daemons -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl lab down")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab status")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -o --output -h --help" -- "$cur"))
            fi ;;
        "lbctl lab exec")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab apply")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            else compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))
            fi ;;
        "lbctl lab delete")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab kill")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--which -s --signal --name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab cut")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--how --name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab heal")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab start")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab stop")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab logs")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "--name -h --help" -- "$cur"))
            fi ;;
        "lbctl lab demo")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-o --output --configs -h --help" -- "$cur"))
            fi ;;
        "lbctl completion")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-h --help" -- "$cur"))
            else COMPREPLY=($(compgen -W "bash zsh fish" -- "$cur"))
            fi ;;
        "lbctl version")
            if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "-h --help" -- "$cur"))
            fi ;;
    esac
}
complete -F _lbctl lbctl
