#compdef lbctl
# zsh completion of lbctl, made by `lbctl completion zsh`. Do not edit.

_lbctl_version() {
    _arguments -S \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_completion() {
    _arguments -S \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:shell\:<bash|zsh|fish>:(bash zsh fish)'
}

_lbctl_lab_demo() {
    _arguments -S \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|json:(table json)' \
        '--configs[Where layer2.yaml, nginx.yaml and nodes.yaml are]:DIR:_files -/' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_lab_logs() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:HOST: '
}

_lbctl_lab_stop() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:HOST: '
}

_lbctl_lab_start() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:HOST: '
}

_lbctl_lab_heal() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:HOST: '
}

_lbctl_lab_cut() {
    _arguments -S \
        '--how[carrier\: the cable is out; silent\: the carrier stays, frames vanish]:carrier|silent:(carrier silent)' \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:HOST: '
}

_lbctl_lab_kill() {
    _arguments -S \
        '--which[Which of the speakers processes; speaker = all]:speaker|work|pulse|wire:(speaker work pulse wire)' \
        '(-s --signal)'{-s,--signal}'[Which signal]:NAME: ' \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:HOST: '
}

_lbctl_lab_delete() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:FILE...: '
}

_lbctl_lab_apply() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:PATH...:_files'
}

_lbctl_lab_exec() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:HOST: '
}

_lbctl_lab_status() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|json:(table json)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_lab_down() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_lab_up() {
    _arguments -S \
        '--name[Which lab]:NAME: ' \
        '--nodes[How many nodes, up to 60]:N: ' \
        '(--daemons --no-daemons)'{--daemons,--no-daemons}'[Start the controller and the speakers]' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|json:(table json)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_lab() {
    local line state
    _arguments -S \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '1: :->command' \
        '*:: :->rest'
    case $state in
        command)
            local -a commands=(
                'up:Build a lab and start its daemons; it stays until `lab down`.'
                'down:End all processes of a lab and remove it.'
                'status:The hosts of a lab, their addresses, links and daemons.'
                'exec:Run a command on a host; its exit status is the commands.'
                'apply:Give manifests to the labs controller.'
                'delete:Take applied manifests away from the controller.'
                'kill:Kill the daemon of a host, or one process of a speaker.'
                'cut:Cut a host off the segment.'
                'heal:Connect a host that was cut off.'
                'start:Start the daemon of a host again, and wait until it is ready.'
                'stop:Stop the daemon of a host in good order (SIGTERM).'
                'logs:What the daemon of a host printed and logged.'
                'demo:The main job, shown and verified; cleans up.'
            )
            _describe command commands ;;
        rest)
            case $line[1] in
                up) _lbctl_lab_up ;;
                down) _lbctl_lab_down ;;
                status) _lbctl_lab_status ;;
                exec) _lbctl_lab_exec ;;
                apply) _lbctl_lab_apply ;;
                delete) _lbctl_lab_delete ;;
                kill) _lbctl_lab_kill ;;
                cut) _lbctl_lab_cut ;;
                heal) _lbctl_lab_heal ;;
                start) _lbctl_lab_start ;;
                stop) _lbctl_lab_stop ;;
                logs) _lbctl_lab_logs ;;
                demo) _lbctl_lab_demo ;;
            esac ;;
    esac
}

_lbctl_schema() {
    _arguments -S \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(KIND): '
}

_lbctl_explain() {
    _arguments -S \
        '(-o --output)'{-o,--output}'[Form of the answer]:human|json:(human json)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(CODE)...: '
}

_lbctl_convert() {
    _arguments -S \
        '(-n --namespace)'{-n,--namespace}'[For objects out of text that names none]:NAME: ' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:PATH...:_files'
}

_lbctl_diff() {
    _arguments -S \
        '*'--against'[The configuration in force\: a file or folder; may be given more than once]:PATH:_files' \
        '--state[The controllers folder\: who holds which address, and without --against the configuration too]:DIR:_files -/' \
        '--patch[NEW is put over what is in force; what it does not name stays]' \
        '--socket[Ask the daemon at this status socket who announces what now]:PATH:_files' \
        '--lb-class[The loadBalancerClass that the controller was started with]:CLASS: ' \
        '(-o --output)'{-o,--output}'[Form of the answer]:human|json:(human json)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:NEW...: '
}

_lbctl_validate() {
    _arguments -S \
        '(-o --output)'{-o,--output}'[Form of the findings]:human|concise|json|sarif|github:(human concise json sarif github)' \
        '--strict[Warnings count as findings too]' \
        '--show-allowed[Print findings that comments allow, too]' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:PATH...:_files'
}

_lbctl_status() {
    _arguments -S \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_ledger_check() {
    _arguments -S \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_ledger_import() {
    _arguments -S \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--replace[Replace a ledger that is not empty; a copy of it is kept]' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:FILE: '
}

_lbctl_ledger_export() {
    _arguments -S \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(FILE): '
}

_lbctl_ledger() {
    local line state
    _arguments -S \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '1: :->command' \
        '*:: :->rest'
    case $state in
        command)
            local -a commands=(
                'export:Write the whole ledger as text (lbctl.io/ledger/v1), also while a controller runs.'
                'import:Read an export into the ledger of a state folder where no controller runs.'
                'check:Check that the file is whole, that no address had two holders, and that the rows tell what the...'
            )
            _describe command commands ;;
        rest)
            case $line[1] in
                export) _lbctl_ledger_export ;;
                import) _lbctl_ledger_import ;;
                check) _lbctl_ledger_check ;;
            esac ;;
    esac
}

_lbctl_quarantine() {
    _arguments -S \
        '--clear[Announce it again]:ADDRESS: ' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_reserve() {
    _arguments -S \
        '--ip[This address, or one of each family]:A(,B): ' \
        '--pool[From this pool]:NAME: ' \
        '--family[For a service that does not exist yet]:ipv4|ipv6|ipv4,ipv6: ' \
        '--remove[No longer keep addresses for it]' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(NAMESPACE/NAME): '
}

_lbctl_history() {
    _arguments -S \
        '--since[Only from then on\: 30m, 2h, 3d, or 2026-01-31T12\:00]:TIME: ' \
        '--limit[The newest so many events]:N: ' \
        '*'--via'[Ask this speaker who announced it; may be given more than once]:HOST(\:PORT)|unix\:PATH: ' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(NAMESPACE/NAME | ADDRESS): '
}

_lbctl_rebalance() {
    _arguments -S \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_move() {
    _arguments -S \
        '--to[The node that shall have it]:NODE: ' \
        '--release[It may be anywhere again]' \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:VIP:_lbctl_targets'
}

_lbctl_undrain() {
    _arguments -S \
        '--self[The node of the speaker that is asked]' \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(NODE): '
}

_lbctl_drain() {
    _arguments -S \
        '--self[The node of the speaker that is asked]' \
        '--stop[Then wait until no connection uses it, and stop its speaker]' \
        '--force[Also when an address has no other node that could announce it]' \
        '--flow-time[How long --stop waits for open connections]:SECONDS: ' \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(NODE): '
}

_lbctl_pools() {
    _arguments -S \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml|name:(table wide json yaml name)' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--published[The published file or its folder, where it is not below --state]:PATH:_files' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:(POOL): '
}

_lbctl_services() {
    _arguments -S \
        '(-n --namespace)'{-n,--namespace}'[Only this namespace]:NAME: ' \
        '--pending[Only those that wait\: for an address, or for a node to announce it]' \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '--socket[Status socket of a daemon on this host]:PATH:_files' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml|name:(table wide json yaml name)' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--published[The published file or its folder, where it is not below --state]:PATH:_files' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_where_is() {
    _arguments -S \
        '--via[Ask this daemon instead of the one on this host (port 7967)]:HOST(\:PORT)|unix\:PATH: ' \
        '(-i --interface)'{-i,--interface}'[Look on this interface, not on the one the routes name]:NAME: ' \
        '--wait[How long to wait for answers]:SECONDS: ' \
        '--why[Each node, and every reason why it does not have it]' \
        '(-w --watch)'{-w,--watch}'[Go on\: one line each time it moves]' \
        '(-o --output)'{-o,--output}'[Form of the answer]:table|wide|json|yaml:(table wide json yaml)' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--published[The published file or its folder, where it is not below --state]:PATH:_files' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '*:VIP|NAMESPACE/NAME:_lbctl_targets'
}

_lbctl_run_speaker() {
    _arguments -S \
        '--node[This nodes name; the hosts if not given]:NAME: ' \
        '--published[The published file or its folder, where it is not below --state]:PATH:_files' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '*'--interface'[Announce on this interface only; may be given more than once]:NAME: ' \
        '--proxy[Forward VIP traffic to the endpoints by nftables, or leave that alone]:nftables|none:(nftables none)' \
        '--cluster[Speakers hear only members of their own cluster]:NAME: ' \
        '--key-file[Shared secret of the heartbeats, for all members]:PATH:_files' \
        '--preset[Heartbeats\: fast 20 ms x 3, default 50 ms x 3, relaxed 300 ms x 3]:fast|default|relaxed:(fast default relaxed)' \
        '--port[UDP port of heartbeats]:PORT: ' \
        '*'--peer'[Another speaker, where multicast does not find it; may be given more than once]:ADDRESS: ' \
        '--ownership-mode[When the network splits\: each side has an owner (availability), or only the majority of the configured speakers (safety)]:availability|safety:(availability safety)' \
        '--start-wait[How long a start waits for all configured speakers before it takes what nobody had]:SECONDS: ' \
        '--recheck-time[How often to look whether a quarantined address is free again]:SECONDS: ' \
        '--handover-time[For how long connections that were open when a VIP moved here by plan go on through the node before]:SECONDS: ' \
        '--socket[Status socket]:PATH:_files' \
        '--listen[Serve the status by TCP too (port 7967); everybody who reaches it may read it]:HOST(\:PORT): ' \
        '(--restart --no-restart)'{--restart,--no-restart}'[When one of its processes dies or hangs, start anew in place, up to 5 times in a minute; or end]' \
        '--log-format[Form of the log on stderr]:console|json:(console json)' \
        '--log-level[What is logged at least]:debug|info|warning|error:(debug info warning error)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl_run_controller() {
    _arguments -S \
        {'*-c','*--config'}'[Manifests\: a file or a folder; may be given more than once]:PATH:_files' \
        '--source[Where services, pools and advertisements come from]:files:(files)' \
        '--state[Folder of the ledger, of what is published, and of the journals]:DIR:_files -/' \
        '--cluster[Speakers hear only members of their own cluster]:NAME: ' \
        '--key-file[Shared secret of the heartbeats, for all members]:PATH:_files' \
        '*'--interface'[Hear the speakers heartbeats on this interface only; may be given more than once]:NAME: ' \
        '--no-heartbeat[Do not join the speakers group\: owners are not known, nodes do not register]' \
        '--socket[Status socket]:PATH:_files' \
        '--listen[Serve the status by TCP too (port 7967); everybody who reaches it may read it]:HOST(\:PORT): ' \
        '--lb-class[Look after services with this loadBalancerClass only; else after those that have none]:CLASS: ' \
        '--log-format[Form of the log on stderr]:console|json:(console json)' \
        '--log-level[What is logged at least]:debug|info|warning|error:(debug info warning error)' \
        '(-h --help)'{-h,--help}'[Show this message and exit]'
}

_lbctl() {
    local line state
    _arguments -S \
        '--version[Print the version]' \
        '(-h --help)'{-h,--help}'[Show this message and exit]' \
        '1: :->command' \
        '*:: :->rest'
    case $state in
        command)
            local -a commands=(
                'run-controller:Give services their addresses (daemon, one a cluster).'
                'run-speaker:Announce addresses from this node (daemon, one a node).'
                'where-is:Which node answers for a VIP\: planned, said and seen.'
                'services:Services, their addresses and who announces them.'
                'pools:How full the pools are, and what is kept back.'
                'drain:Move everything away from a node, before work on it.'
                'undrain:Let a drained node announce again.'
                'move:Send a VIP to a node and pin it there.'
                'rebalance:Spread the VIPs evenly over the nodes, now.'
                'history:Who had an address\: every grant, release and cause.'
                'reserve:Keep addresses for a service by its name.'
                'quarantine:Addresses for which a foreign machine answers.'
                'ledger:The ledger as text and back, and its check.'
                'status:How the daemon on this host is, and whom it hears.'
                'validate:Check manifests; every finding with its line.'
                'diff:What a configuration would change, before it does.'
                'convert:Old MetalLB configuration to todays kinds.'
                'explain:What a code of a finding means, an example, the fix.'
                'schema:JSON Schema of manifests, for editors.'
                'lab:A cluster in network namespaces, to try things out.'
                'completion:Print the completion script for a shell.'
                'version:Print the version.'
            )
            _describe command commands ;;
        rest)
            case $line[1] in
                run-controller) _lbctl_run_controller ;;
                run-speaker) _lbctl_run_speaker ;;
                where-is) _lbctl_where_is ;;
                services) _lbctl_services ;;
                pools) _lbctl_pools ;;
                drain) _lbctl_drain ;;
                undrain) _lbctl_undrain ;;
                move) _lbctl_move ;;
                rebalance) _lbctl_rebalance ;;
                history) _lbctl_history ;;
                reserve) _lbctl_reserve ;;
                quarantine) _lbctl_quarantine ;;
                ledger) _lbctl_ledger ;;
                status) _lbctl_status ;;
                validate) _lbctl_validate ;;
                diff) _lbctl_diff ;;
                convert) _lbctl_convert ;;
                explain) _lbctl_explain ;;
                schema) _lbctl_schema ;;
                lab) _lbctl_lab ;;
                completion) _lbctl_completion ;;
                version) _lbctl_version ;;
            esac ;;
    esac
}

_lbctl_targets() {
    local -a targets=(${(f)"$(lbctl services -o name 2>/dev/null)"})
    compadd -a targets
}

if [[ $funcstack[1] == _lbctl ]]; then _lbctl "$@"; else compdef _lbctl lbctl; fi
