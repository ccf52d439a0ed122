// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import { ConsortiumGovernance } from "../../consortium/ConsortiumGovernance.sol";
import { ConsortiumRegistry } from "../../consortium/ConsortiumRegistry.sol";
import { EvidenceLog } from "../../evidence/EvidenceLog.sol";
import { IConsortiumGovernance } from "../../interfaces/IConsortiumGovernance.sol";
import { IConsortiumRegistry } from "../../interfaces/IConsortiumRegistry.sol";
import { IEvidenceLog } from "../../interfaces/IEvidenceLog.sol";
import { Test } from "./Test.sol";

/// A deployed consortium: bank 1, centre 2, court 3 and regulator 4 hold a vote each, insurer 5 holds none; three of
/// four decide. Every organisation has an act key and an anchor key.
abstract contract Consortium is Test {
    uint32 internal constant BANK = 1;
    uint32 internal constant CENTRE = 2;
    uint32 internal constant COURT = 3;
    uint32 internal constant REGULATOR = 4;
    uint32 internal constant INSURER = 5;

    uint8 internal constant ACT = 1;
    uint8 internal constant ANCHOR = 2;
    uint8 internal constant AUTH = 3;

    uint40 internal constant GENESIS = 1_800_000_000;
    uint40 internal constant FOREVER = type(uint40).max;
    uint40 internal constant ROTATION_DELAY = 1 days;
    uint40 internal constant DELAY = 2 days;
    uint32 internal constant THRESHOLD = 3;

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");

    address internal deployer = address(0xDE);
    address internal relayer = address(0x4E);
    ConsortiumRegistry internal registry;
    ConsortiumGovernance internal governance;
    EvidenceLog internal evidence;
    uint256 private _salt;

    function launch() internal {
        vm.warp(GENESIS);
        deploy(genesisOrganisations());
    }

    function deploy(IConsortiumRegistry.NewOrganisation[] memory genesis) internal {
        address expected = vm.computeCreateAddress(deployer, vm.getNonce(deployer) + 1);
        vm.startPrank(deployer);
        registry = new ConsortiumRegistry(expected, ROTATION_DELAY, genesis);
        governance = new ConsortiumGovernance(address(registry), DELAY, THRESHOLD);
        evidence = new EvidenceLog(address(registry));
        vm.stopPrank();
    }

    function genesisOrganisations()
        internal
        pure
        returns (IConsortiumRegistry.NewOrganisation[] memory genesis)
    {
        genesis = new IConsortiumRegistry.NewOrganisation[](5);
        genesis[0] = newOrganisation(BANK, 1 << 0, true);
        genesis[1] = newOrganisation(CENTRE, 1 << 3, true);
        genesis[2] = newOrganisation(COURT, 1 << 5, true);
        genesis[3] = newOrganisation(REGULATOR, 1 << 9, true);
        genesis[4] = newOrganisation(INSURER, 1 << 1, false);
    }

    /// An organisation in an interest group of its own, with an act key and an anchor key.
    function newOrganisation(
        uint32 index,
        uint32 roles,
        bool vote
    )
        internal
        pure
        returns (IConsortiumRegistry.NewOrganisation memory)
    {
        IConsortiumRegistry.NewKey[] memory keys = new IConsortiumRegistry.NewKey[](2);
        keys[0] = IConsortiumRegistry.NewKey(vm.addr(actKey(index)), ACT, 0, FOREVER);
        keys[1] = IConsortiumRegistry.NewKey(vm.addr(anchorKey(index)), ANCHOR, 0, FOREVER);
        return IConsortiumRegistry.NewOrganisation({
            id: keccak256(abi.encode("organisation", index)),
            roles: roles,
            interestGroup: index,
            vote: vote,
            keys: keys
        });
    }

    function actKey(uint32 index) internal pure returns (uint256) {
        return 0xA000 + index;
    }

    function anchorKey(uint32 index) internal pure returns (uint256) {
        return 0xB000 + index;
    }

    function digest(address verifyingContract, bytes32 structHash) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPE, keccak256("caseledger"), keccak256("1"), block.chainid, verifyingContract)
        );
        return keccak256(abi.encodePacked(hex"1901", domain, structHash));
    }

    function sign(
        uint256 privateKey,
        address verifyingContract,
        bytes32 structHash
    )
        internal
        view
        returns (bytes memory)
    {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(privateKey, digest(verifyingContract, structHash));
        return abi.encodePacked(r, s, v);
    }

    // The type strings are repeated from docs/spec/chain-state.md, so that a slip in the contracts shows.

    function signed(
        uint256 key,
        IConsortiumRegistry.AnnounceKey memory request
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "AnnounceKey(uint32 organisation,address key,uint8 purpose,uint40 notBefore,uint40 notAfter,uint64 nonce,uint40 validUntil)"
        );
        return sign(key, address(registry), keccak256(abi.encode(typeHash, request)));
    }

    function signed(
        uint256 key,
        IConsortiumRegistry.AcceptKey memory request
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256("AcceptKey(uint32 organisation,address key,uint40 validUntil)");
        return sign(key, address(registry), keccak256(abi.encode(typeHash, request)));
    }

    function signed(
        uint256 key,
        IConsortiumRegistry.CancelKey memory request
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash =
            keccak256("CancelKey(uint32 organisation,address key,uint64 nonce,uint40 validUntil)");
        return sign(key, address(registry), keccak256(abi.encode(typeHash, request)));
    }

    function signed(
        uint256 key,
        IConsortiumRegistry.RevokeKey memory request
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash =
            keccak256("RevokeKey(uint32 organisation,address key,uint64 nonce,uint40 validUntil)");
        return sign(key, address(registry), keccak256(abi.encode(typeHash, request)));
    }

    function signed(
        uint256 key,
        IConsortiumRegistry.SetHpkeKey memory request
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "SetHpkeKey(uint32 organisation,bytes32 publicKey,uint40 notBefore,uint40 notAfter,uint64 nonce,uint40 validUntil)"
        );
        return sign(key, address(registry), keccak256(abi.encode(typeHash, request)));
    }

    function signed(
        uint256 key,
        IConsortiumRegistry.Suspend memory request
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256(
            "Suspend(uint32 organisation,uint32 target,bytes32 reason,uint64 nonce,uint40 validUntil)"
        );
        return sign(key, address(registry), keccak256(abi.encode(typeHash, request)));
    }

    function signed(
        uint256 key,
        IConsortiumGovernance.Objection memory request
    )
        internal
        view
        returns (bytes memory)
    {
        bytes32 typeHash = keccak256("Object(bytes32 proposal,uint32 organisation,uint40 validUntil)");
        return sign(key, address(governance), keccak256(abi.encode(typeHash, request)));
    }

    function signed(uint256 key, IEvidenceLog.Anchor memory request) internal view returns (bytes memory) {
        bytes32 typeHash = keccak256(
            "Anchor(bytes32 logId,uint64 oldSize,uint64 newSize,bytes32 rootSha256,bytes32 rootSm3,uint40 validUntil)"
        );
        return sign(key, address(evidence), keccak256(abi.encode(typeHash, request)));
    }

    function approval(
        bytes32 id,
        uint32 organisation
    )
        internal
        view
        returns (IConsortiumGovernance.Approval memory)
    {
        bytes32 typeHash = keccak256("Approve(bytes32 proposal,uint32 organisation,uint40 validUntil)");
        bytes32 structHash = keccak256(abi.encode(typeHash, id, organisation, FOREVER));
        return IConsortiumGovernance.Approval(
            organisation, FOREVER, sign(actKey(organisation), address(governance), structHash)
        );
    }

    function approvals(
        bytes32 id,
        uint32[3] memory organisations
    )
        internal
        view
        returns (IConsortiumGovernance.Approval[] memory list)
    {
        list = new IConsortiumGovernance.Approval[](3);
        for (uint256 i = 0; i < 3; ++i) {
            list[i] = approval(id, organisations[i]);
        }
    }

    /// A proposal of one call.
    function single(
        address target,
        bytes memory data
    )
        internal
        pure
        returns (address[] memory targets, bytes[] memory calls)
    {
        targets = new address[](1);
        calls = new bytes[](1);
        (targets[0], calls[0]) = (target, data);
    }

    /// Schedules by centre, court and regulator.
    function scheduled(
        address[] memory targets,
        bytes[] memory calls,
        bytes32 salt
    )
        internal
        returns (bytes32 id)
    {
        id = governance.proposalId(targets, calls, salt);
        vm.prank(relayer);
        governance.schedule(targets, calls, salt, approvals(id, [CENTRE, COURT, REGULATOR]));
    }

    /// Schedules, waits and executes one call.
    function decide(address target, bytes memory data) internal {
        (address[] memory targets, bytes[] memory calls) = single(target, data);
        bytes32 salt = bytes32(++_salt);
        scheduled(targets, calls, salt);
        vm.warp(block.timestamp + DELAY);
        vm.prank(relayer);
        governance.execute(targets, calls, salt);
    }

    function now40() internal view returns (uint40) {
        return uint40(block.timestamp);
    }
}
