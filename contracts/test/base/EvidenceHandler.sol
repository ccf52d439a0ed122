// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { IConsortiumRegistry } from "../../interfaces/IConsortiumRegistry.sol";
import { IEvidenceLog } from "../../interfaces/IEvidenceLog.sol";
import { Consortium } from "./Consortium.sol";
import { ReferenceTree } from "./ReferenceTree.sol";

/// Random honest and dishonest use of two logs, with what must stay true kept beside it.
contract EvidenceHandler is Consortium {
    uint256 public constant LOGS = 2;
    uint64 private constant MOST_LEAVES = 48;

    bytes32[LOGS] public logIds;
    uint64[LOGS] public sizes;
    uint64[LOGS] public batches;
    bytes32[LOGS] public roots;
    bool[LOGS] public closed;
    bool public forked;
    uint64 public events;
    uint256 public anchored;
    uint256 public refused;
    mapping(uint256 which => mapping(uint64 number => bytes32 link)) public links;
    bytes32[] private _leaves;

    constructor() {
        launch();
        _leaves = ReferenceTree.leaves(0, MOST_LEAVES);
        uint32[LOGS] memory operators = [BANK, CENTRE];
        for (uint256 i = 0; i < LOGS; ++i) {
            vm.prank(address(governance));
            logIds[i] =
                evidence.openLog(string(abi.encodePacked("log", bytes1(uint8(48 + i)))), operators[i], 0);
            ++events;
        }
    }

    function log(uint256 which) external view returns (IEvidenceLog.Log memory) {
        return evidence.head(logIds[which]);
    }

    function link(uint256 which, uint64 number) external view returns (bytes32) {
        return evidence.link(logIds[which], number);
    }

    function sequence() external view returns (uint64) {
        return evidence.sequence();
    }

    /// The operator extends its log.
    function anchor(uint256 which, uint64 growth) external {
        which = bound(which, 0, LOGS - 1);
        uint64 newSize = sizes[which] + uint64(bound(growth, 1, 12));
        if (newSize > MOST_LEAVES || closed[which]) return;
        IEvidenceLog.Anchor memory request = IEvidenceLog.Anchor({
            logId: logIds[which],
            oldSize: sizes[which],
            newSize: newSize,
            rootSha256: ReferenceTree.root(_leaves, 0, newSize),
            rootSm3: keccak256(abi.encode(which, newSize)),
            validUntil: FOREVER
        });
        bytes32[] memory proof = sizes[which] == 0
            ? new bytes32[](0)
            : ReferenceTree.consistencyProof(_leaves, sizes[which], newSize);
        bytes memory signature = signed(anchorKey(which == 0 ? BANK : CENTRE), request);
        try evidence.anchor(request, proof, signature) returns (uint64 number, bytes32 written) {
            accept(which, request, number, written);
        } catch {
            ++refused;
        }
    }

    /// The holder of the anchor key rewrites one leaf and builds every proof anew.
    function fork(uint256 which, uint64 growth, uint256 place) external {
        which = bound(which, 0, LOGS - 1);
        if (sizes[which] == 0) return;
        uint64 newSize = sizes[which] + uint64(bound(growth, 1, 12));
        if (newSize > MOST_LEAVES) return;
        bytes32[] memory forged = _leaves;
        forged[bound(place, 0, sizes[which] - 1)] = keccak256("forged");
        IEvidenceLog.Anchor memory request = IEvidenceLog.Anchor({
            logId: logIds[which],
            oldSize: sizes[which],
            newSize: newSize,
            rootSha256: ReferenceTree.root(forged, 0, newSize),
            rootSm3: 0,
            validUntil: FOREVER
        });
        bytes32[] memory proof = ReferenceTree.consistencyProof(forged, sizes[which], newSize);
        tryForeign(request, proof, anchorKey(which == 0 ? BANK : CENTRE));
    }

    /// A well-built batch by somebody else's key, or for a size that is not the head's.
    function intrude(uint256 which, uint32 organisation, uint64 oldSize, uint64 newSize) external {
        which = bound(which, 0, LOGS - 1);
        organisation = uint32(bound(organisation, 3, 5));
        newSize = uint64(bound(newSize, 1, MOST_LEAVES));
        oldSize = uint64(bound(oldSize, 0, newSize - 1));
        IEvidenceLog.Anchor memory request = IEvidenceLog.Anchor({
            logId: logIds[which],
            oldSize: oldSize,
            newSize: newSize,
            rootSha256: ReferenceTree.root(_leaves, 0, newSize),
            rootSm3: 0,
            validUntil: FOREVER
        });
        bytes32[] memory proof =
            oldSize == 0 ? new bytes32[](0) : ReferenceTree.consistencyProof(_leaves, oldSize, newSize);
        tryForeign(request, proof, anchorKey(organisation));
    }

    function close(uint256 which, uint64 size, uint256 chance) external {
        which = bound(which, 0, LOGS - 1);
        if (chance % 16 != 0) return;
        vm.prank(address(governance));
        try evidence.closeLog(logIds[which], uint64(bound(size, 0, sizes[which] + 2)), 0) {
            closed[which] = true;
            ++events;
        } catch {
            ++refused;
        }
    }

    function suspend(uint32 target) external {
        target = uint32(bound(target, BANK, CENTRE));
        IConsortiumRegistry.Suspend memory request =
            IConsortiumRegistry.Suspend(REGULATOR, target, 0, registry.nonceOf(REGULATOR), FOREVER);
        try registry.suspend(request, signed(actKey(REGULATOR), request)) { } catch { }
    }

    function wait(uint40 time) external {
        vm.warp(block.timestamp + bound(time, 1, 20 days));
    }

    function tryForeign(IEvidenceLog.Anchor memory request, bytes32[] memory proof, uint256 key) private {
        try evidence.anchor(request, proof, signed(key, request)) {
            forked = true;
        } catch {
            ++refused;
        }
    }

    function accept(
        uint256 which,
        IEvidenceLog.Anchor memory request,
        uint64 number,
        bytes32 written
    )
        private
    {
        ++anchored;
        ++events;
        batches[which] += 1;
        if (number != batches[which] || links[which][number] != 0) forked = true;
        sizes[which] = request.newSize;
        roots[which] = request.rootSha256;
        links[which][number] = written;
    }
}
